# What changes only with package-lock.json: Debian, the pinned Node and the dependencies that run. build.sh names it
# after the lock file and makes it once; every version of Atoll with that lock file shares it.
# BASE: any Debian 12 with libstdc++6; base.sh makes one where no registry can be reached.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY node /usr/local/bin/node
COPY node_modules /opt/atoll/node_modules
# State and compiled code of whoever runs it; a volume mounted here begins with this owner.
COPY --chown=10001:10001 empty /var/lib/atoll
COPY --chown=10001:10001 empty /var/cache/atoll
