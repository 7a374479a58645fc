# Second Order in a container.
#
#   docker build -t secondorder .                            on the CPU
#   docker build -t secondorder --build-arg EXTRA=cuda .     JAX's CUDA build (run it with --gpus all)
#   docker run --rm -p 8000:8000 secondorder
#
# EXTRA may name several of the package's extras: EXTRA=cuda,redis.

FROM python:3.12-slim AS build
ARG EXTRA=""
WORKDIR /source
COPY . .
RUN python -m venv /opt/secondorder \
    && /opt/secondorder/bin/pip install --no-cache-dir ".${EXTRA:+[$EXTRA]}"

FROM python:3.12-slim
COPY --from=build /opt/secondorder /opt/secondorder
RUN useradd --create-home --uid 1000 explorer
USER explorer
WORKDIR /home/explorer
ENV PATH="/opt/secondorder/bin:$PATH" PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["secondorder", "serve", "--host", "0.0.0.0", "--port", "8000", "--no-browser"]
