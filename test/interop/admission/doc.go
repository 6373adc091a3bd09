// Package admission tests a towpath relay that lets in only the nodes of a real Headscale server, with stock tailscaled.
package admission
