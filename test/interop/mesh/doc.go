// Package mesh tests regions of several relays: towpath on Node, towpath on Bun and Go derper in full mesh, with clients of
// the official package homed on each of them; and what each relay answers to a connection with the mesh key.
package mesh
