# The service alone: no torch, no compiler, no root, nothing written outside /tmp, but for the audit log in /audit.
#   docker build -f docker/service.Dockerfile -t ecg-jepa-service .
#   docker build -f docker/service.Dockerfile -t ecg-jepa-service:gpu --build-arg EXTRA=gpu .
# podman and buildah leave the health check out unless they are told --format docker.
ARG PYTHON_IMAGE=python:3.13.7-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ARG EXTRA=""
WORKDIR /source
RUN python3 -m venv /opt/ecg
COPY pyproject.toml README.md LICENSE ./
COPY model model
COPY training training
COPY service service
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/ecg/bin/pip install --disable-pip-version-check ".${EXTRA:+[${EXTRA}]}"

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/ecg /opt/ecg
ENV PATH=/opt/ecg/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    ECG_HOST=0.0.0.0 \
    ECG_PORT=8000
RUN install -d -o 10001 -g 10001 -m 700 /audit
WORKDIR /
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "service.health"]
STOPSIGNAL SIGTERM
# Beyond loopback the service wants ECG_API_KEYS; docker-compose.yml shows how.
ENTRYPOINT ["python", "-m", "service"]
