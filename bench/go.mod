module quotagate/bench

go 1.26.0

require (
	github.com/elazarl/goproxy v1.9.2
	github.com/google/pprof v0.0.0-20260906184651-6331bc6350fe
)

require (
	golang.org/x/net v0.50.0 // indirect
	golang.org/x/text v0.34.0 // indirect
)
