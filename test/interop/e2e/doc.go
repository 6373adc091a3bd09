// Package e2e lets two stock tailscaled talk through a relay.
package e2e
