# syntax=docker/dockerfile:1
# One image for every role: `docker run IMAGE node --roles … --bucket … --redis …`. Any argument is one of `cauce`.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# What Cauce depends on is a layer of its own, in the versions that the tests ran with.
COPY pyproject.toml requirements-dev.lock README.md LICENSE ./
RUN mkdir cauce infra ingest reader compactor \
    && touch cauce/__init__.py infra/__init__.py ingest/__init__.py reader/__init__.py compactor/__init__.py \
    && python -m venv /opt/cauce \
    && /opt/cauce/bin/pip install --no-compile --constraint requirements-dev.lock '.[iceberg]' \
    && /opt/cauce/bin/pip uninstall --yes cauce
COPY cauce cauce
COPY infra infra
COPY ingest ingest
COPY reader reader
COPY compactor compactor
# Byte code is made here and not at each start; unchecked, so that a start looks at no source either.
RUN /opt/cauce/bin/pip install --no-compile --no-deps . \
    && /opt/cauce/bin/pip uninstall --yes pip setuptools \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/cauce/lib

FROM python:3.11-slim-bookworm
# The slim image comes without the byte code of Python's own library.
RUN python -m compileall -q -j 0 -x '/(test|tests|idlelib|lib2to3|site-packages|dist-packages)/' \
    --invalidation-mode unchecked-hash "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
RUN groupadd --gid 10001 cauce \
    && useradd --uid 10001 --gid cauce --home-dir /var/lib/cauce --create-home --shell /usr/sbin/nologin cauce
COPY --from=build /opt/cauce /opt/cauce
# OpenBLAS would start a thread a core when numpy is imported; nothing here multiplies matrices.
ENV PATH=/opt/cauce/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    CAUCE_DATA=/var/lib/cauce \
    CAUCE_HTTP=0.0.0.0:9644 \
    CAUCE_LISTENERS=PLAINTEXT://0.0.0.0:9092 \
    CAUCE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/cauce
VOLUME /var/lib/cauce
EXPOSE 9092 9644
# Whether the process lives. Whether it can acknowledge is /readyz: a store that is away for a minute is no reason to kill it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9644/healthz', timeout=4)"]
# SIGTERM hands the node's partitions over before it stops: give it as long as your orchestrator does (stopTimeout, stop_grace_period).
STOPSIGNAL SIGTERM
ENTRYPOINT ["cauce"]
CMD ["node"]
