// Package relay moves what is stored on this machine to a cluster.
package relay
