# The gateway as an image: hash-pinned dependencies, nothing added that it does not need, not root.
#   docker build -t trimaran .
#   docker run -p 4000:4000 -e TRIMARAN_KEY -e OPENAI_API_KEY -e ANTHROPIC_API_KEY trimaran
# It listens on all interfaces of the container, so clients must have a key: TRIMARAN_KEY, or keys in a configuration
# mounted as /etc/trimaran/trimaran.yaml. Without one it refuses to start.
FROM python:3.12-slim AS build
WORKDIR /build
COPY requirements/run.txt requirements/
RUN python -m venv /srv/trimaran \
 && /srv/trimaran/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /srv/trimaran/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/trimaran trimaran
COPY --from=build /srv/trimaran /srv/trimaran
ENV PATH=/srv/trimaran/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TRIMARAN_LEDGER_DIR=/var/lib/trimaran \
    TRIMARAN_SERVER_HOST=0.0.0.0
USER 10001
# `trimaran serve` takes trimaran.yaml from the folder it starts in.
WORKDIR /etc/trimaran
# The ledger. Mount a volume to keep it.
VOLUME /var/lib/trimaran
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:4000/healthz', timeout=2)"]
ENTRYPOINT ["trimaran"]
CMD ["serve"]
