// Package derpprobe runs Tailscale's own prober against a relay.
package derpprobe
