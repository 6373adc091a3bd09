// Package derpprobe lets Tailscale's own prober look at a relay.
package derpprobe
