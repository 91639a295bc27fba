# The server on a CPU. Build: docker build -t segue .
# Run: docker run --read-only --tmpfs /tmp -v ./runs/ml-1m:/run-folder:ro -v segue-cache:/cache \
#          -e SEGUE_API_KEYS -p 127.0.0.1:8000:8000 segue
# docs/deployment.md explains both.

# Any Python that pyproject.toml allows; requirements.lock pins versions for each.
ARG PYTHON_IMAGE=python:3.11-slim

# 1. What the server depends on. It changes with pyproject.toml and requirements.lock only.
FROM ${PYTHON_IMAGE} AS dependencies
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/segue
COPY pyproject.toml requirements.lock ./
COPY docker/direct_dependencies.py ./
RUN python direct_dependencies.py pyproject.toml serve postgres > direct.txt \
    && /opt/segue/bin/pip install -r direct.txt -c requirements.lock

# 2. Segue itself, as files to lay over the environment.
FROM dependencies AS package
RUN /opt/segue/bin/pip install hatchling -c requirements.lock
COPY README.md LICENSE ./
COPY src ./src
RUN /opt/segue/bin/pip install --no-deps --no-build-isolation --prefix=/package .

# 3. The image: the environment, Segue and a user without rights; nothing that the build needed.
FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --no-create-home --home-dir /cache --shell /usr/sbin/nologin segue \
    && install -d -o segue -g segue /cache
COPY --from=dependencies /opt/segue /opt/segue
COPY --from=package /package /opt/segue
ENV PATH=/opt/segue/bin:$PATH PYTHONDONTWRITEBYTECODE=1 SEGUE_CACHE=/cache
USER segue
# Compiled programs are kept here, so that the next start is faster.
VOLUME /cache
EXPOSE 8000
# Ready once every shape is compiled, which takes minutes at the first start.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["segue"]
CMD ["serve", "model=/run-folder", "--host", "0.0.0.0", "--port", "8000"]
