# The proxy by itself, without a shell: for docker-compose.yml, or with
#   docker build -t quotagate . && docker run --rm quotagate version
FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/quotagate ./cmd/quotagate \
    && mkdir -p /out/data /out/rules

FROM scratch
# The roots by which services are verified.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/quotagate /usr/local/bin/quotagate
# A new volume takes the owner of what it is mounted over.
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/rules /rules
COPY --from=build /src/cmd/quotagate/starter/quotagate.yaml /rules/quotagate.yaml
USER 65532:65532
ENV QUOTAGATE_DATA=/data QUOTAGATE_RULES=/rules/quotagate.yaml
VOLUME /data
EXPOSE 8080 8081
ENTRYPOINT ["/usr/local/bin/quotagate"]
CMD ["run"]
