// Package deploy holds what runs the gateway elsewhere: an image, a stack for
// docker compose, a systemd unit, and the making of a release. Its tests keep those
// files right; there is nothing to import.
package deploy
