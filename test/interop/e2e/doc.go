// Package e2e connects two stock tailscaled through a relay.
package e2e
