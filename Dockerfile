# The image of towpath, for those who build with Docker. `npm run build:image` makes the same image without Docker.
#   docker build --tag towpath .
# Node 24.22.1 only builds; the executable contains Bun.
FROM node:24.22.1-bookworm-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /towpath
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts && npm rebuild bun
COPY . .
RUN node scripts/build-binary.ts /towpath/build/towpath && install -d -m 0700 /state

# libc and nothing else: no shell, no package manager. `nonroot` is 65532.
FROM gcr.io/distroless/base-nossl-debian12:nonroot
COPY --from=build /towpath/build/towpath /usr/bin/towpath
COPY --from=build --chown=65532:65532 /state /var/lib/towpath
USER 65532:65532
WORKDIR /var/lib/towpath
VOLUME /var/lib/towpath
EXPOSE 443/tcp 80/tcp 3478/udp
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/usr/bin/towpath", "healthcheck"]
ENTRYPOINT ["/usr/bin/towpath"]
CMD ["serve"]
