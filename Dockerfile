# One file, five targets: docker build --target gateway|model|retrieval|tracing|evaluation .
# They share every layer but the last, so five images take the room of one.
#
# Without a registry: --build-arg PYTHON_IMAGE=NAME; --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/source/wheels
# with the wheels in ./wheels (pip download -d wheels ...). Another index: PIP_INDEX_URL or PIP_EXTRA_INDEX_URL.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS base
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ENV PYTHONUNBUFFERED=1 \
    PYTHONPATH=/app \
    CANDOR_HOME=/data \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    HF_HUB_OFFLINE=1
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin candor \
    && install -d -o 10001 -g 10001 /data /experts
WORKDIR /app
# the packages first, from the two files that name them: a change of our code does not fetch them again
RUN --mount=type=bind,target=/source \
    python -c "import tomllib; p = tomllib.load(open('/source/pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *p['optional-dependencies']['postgres'], sep='\n')" > /tmp/requirements.txt \
    && pip install --no-cache-dir --constraint /source/constraints.txt --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt
COPY owners.yaml ./
COPY shared ./shared
COPY services ./services
COPY gateway ./gateway
RUN python -m compileall -q /app
USER 10001:10001
VOLUME /data
ENTRYPOINT ["python", "-m", "gateway.cli"]

FROM base AS model
EXPOSE 8081
CMD ["serve", "model", "--host", "0.0.0.0"]

FROM base AS retrieval
EXPOSE 8082
CMD ["serve", "retrieval", "--host", "0.0.0.0"]

FROM base AS tracing
EXPOSE 8083
CMD ["serve", "tracing", "--host", "0.0.0.0"]

FROM base AS evaluation
EXPOSE 8084
CMD ["serve", "evaluation", "--host", "0.0.0.0"]

FROM base AS gateway
EXPOSE 8080
CMD ["serve", "gateway", "--host", "0.0.0.0"]
