# One file for the three services: docker build --build-arg SERVICE=gateway .   (gateway | accounts | usage)
#
# An image holds its own service and libs/common alone, and the packages of requirements/<service>.txt (hash-locked).
# A network whose proxy inspects TLS: add --secret id=ca,src=/path/to/ca-bundle.crt ; the certificate does not stay in the image.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
ARG SERVICE
COPY requirements/${SERVICE}.txt /requirements.txt
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.crt,required=false \
    if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi \
 && python3 -m venv /opt/codexflow \
 && /opt/codexflow/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary=:all: \
      --require-hashes -r /requirements.txt \
 && /opt/codexflow/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE} AS image
ARG SERVICE
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="codexflow-${SERVICE}" \
      org.opencontainers.image.description="CodexFlow: the ${SERVICE} service" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN groupadd --gid 10001 codexflow \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin codexflow \
 && install -d -m 0700 -o 10001 -g 10001 /var/lib/codexflow

COPY --from=packages /opt/codexflow /opt/codexflow
COPY --chmod=0555 deploy/docker/run.py /usr/local/bin/codexflow
COPY --chmod=0555 deploy/docker/healthy.py /usr/local/bin/codexflow-healthy
COPY libs/common /app/common
COPY services/${SERVICE} /app/${SERVICE}
# The root file system may be mounted read-only, so what would be written at the first import is written here.
RUN /opt/codexflow/bin/python -m compileall -q /app

# PORT may be changed by <SERVICE>_PORT; inside a container every interface is the container's own.
ENV CODEXFLOW_SERVICE=${SERVICE} \
    PATH=/opt/codexflow/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GATEWAY_HOST=0.0.0.0 \
    ACCOUNTS_HOST=0.0.0.0 \
    USAGE_HOST=0.0.0.0 \
    GATEWAY_STATE_DIR=/var/lib/codexflow
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["codexflow-healthy"]
ENTRYPOINT ["codexflow"]
CMD ["serve"]
