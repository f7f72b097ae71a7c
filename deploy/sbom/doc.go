// Command sbom writes the software bill of materials of a Go binary as CycloneDX 1.5
// JSON on standard output:
//
//	go run ./deploy/sbom -version v0.1.0 dist/gateway-v0.1.0-linux-amd64
//
// It lists the modules that the Go command wrote into the binary, so it holds what
// is in that binary and nothing that tests alone need. The same binary gives the
// same bytes: there is no time, no serial number and no path in it. The exit status
// is 1 when the file cannot be read, or is no binary of Go.
package main
