// Package doctor finds out what is wrong between a page and its consumers. report.go has
// what a running gateway knows, diagnose.go turns that into findings, each with what to
// do. The command gateway doctor and the admin listener use it.
package doctor
