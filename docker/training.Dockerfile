# Everything that makes a bundle, on a CPU or an NVIDIA card; data in /data, what comes out in /runs.
#   docker build -f docker/training.Dockerfile -t ecg-jepa-training .
#   docker run --gpus all -v DATA:/data:ro -v RUNS:/runs ecg-jepa-training prepare --help
ARG PYTHON_IMAGE=python:3.13.7-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
RUN python3 -m venv /opt/ecg
COPY pyproject.toml README.md LICENSE ./
COPY model model
COPY training training
COPY service service
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/ecg/bin/pip install --disable-pip-version-check ".[train]"

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/ecg /opt/ecg
ENV PATH=/opt/ecg/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN install -d -o 10001 -g 10001 /runs
WORKDIR /runs
USER 10001:10001
VOLUME ["/runs"]
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]
