# sockscope runs from its source. The image holds node, the libraries it links to, the production dependencies and the
# source: no shell, no npm, no package manager, nothing to build with.
#
#     docker build -t sockscope .
#
# The stage to build in: any image of Node 24.12 or newer with glibc, npm and a shell.
ARG BASE_IMAGE=node:26-bookworm-slim

FROM ${BASE_IMAGE} AS build
# A registry to use instead of npm's own; one that wants credentials gets them by
# `--secret id=npmrc,src=$HOME/.npmrc`, which stays out of the layers.
ARG NPM_REGISTRY
WORKDIR /image/app
COPY package.json package-lock.json .npmrc ./
# koffi brings a binary for each platform as a package of its own, so that nothing is compiled and no script has to run.
# Its C sources, source maps, declarations and the dependencies' manuals are of no use at run time.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --omit=dev --ignore-scripts ${NPM_REGISTRY:+--registry="$NPM_REGISTRY"} \
 && rm -rf .npmrc package-lock.json node_modules/.package-lock.json \
      node_modules/koffi/lib node_modules/koffi/vendor node_modules/koffi/doc node_modules/@koromix/*/musl_* \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' \
      -o -iname 'README*.md' -o -iname 'CHANGELOG*.md' -o -path '*/koffi/src/*' -a ! -name '*js' \) -delete
COPY LICENSE ./
COPY src ./src
COPY config/sockscope.yaml /image/etc/sockscope/sockscope.yaml
# What node and koffi load, each at its own place; and what libc needs to know of names.
RUN node="$(readlink -f "$(command -v node)")" \
 && install -D "$node" /image/usr/local/bin/node \
 && ldd "$node" node_modules/@koromix/*/*/koffi.node | grep -o '/[^ :]*\.so[^ :]*' | sort -u \
      | xargs cp -L --parents -t /image \
 && printf 'root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n' >/image/etc/passwd \
 && printf 'root:x:0:\nnogroup:x:65534:\n' >/image/etc/group \
 && printf 'hosts: files dns\n' >/image/etc/nsswitch.conf \
 && chmod -R u=rwX,go=rX /image

FROM scratch
LABEL org.opencontainers.image.title="sockscope" \
      org.opencontainers.image.description="Sockets and endpoint probes as OpenTelemetry metrics" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
COPY --from=build /image /
# SOCKSCOPE_LIVEZ is what the health check asks: set it when export.prometheus.listen is another address.
ENV PATH=/usr/local/bin \
    NODE_ENV=production \
    SOCKSCOPE_CONFIG=/etc/sockscope/sockscope.yaml \
    SOCKSCOPE_LIVEZ=http://127.0.0.1:9464/livez
USER 65534:65534
WORKDIR /
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["node", "-e", "\
  const failed = ({ message }) => { console.log(message); process.exit(1); };\
  require(/^https:/.test(process.env.SOCKSCOPE_LIVEZ) ? 'node:https' : 'node:http').get(process.env.SOCKSCOPE_LIVEZ, (reply) => {\
    reply.on('data', (text) => console.log(String(text).trim()));\
    reply.on('end', () => process.exit(reply.statusCode === 200 ? 0 : 1));\
  }).on('error', failed)"]
ENTRYPOINT ["node", "/app/src/main.ts"]
CMD ["run"]
