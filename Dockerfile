# One image for every service; docker-compose.yml says which module each container runs.
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/tocsin && /opt/tocsin/bin/pip install --no-cache-dir '.[chat,postgresql]'

FROM python:3.12-slim
RUN useradd --create-home --uid 1000 tocsin && install -d -o tocsin /data
COPY --from=build /opt/tocsin /opt/tocsin
ENV PATH=/opt/tocsin/bin:$PATH PYTHONUNBUFFERED=1 TOCSIN_DATA=/data
USER tocsin
WORKDIR /data
VOLUME /data
CMD ["tocsin", "--help"]
