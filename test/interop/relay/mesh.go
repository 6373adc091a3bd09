package relay

import (
	"path/filepath"
	"slices"
	"strings"
)

// Mesh makes a relay one of several of a region.
type Mesh struct {
	// Key is the text of the file with the mesh key.
	Key string
	// With are the other relays to link to, as host:port.
	With []string
	// Itself adds the relay's own address to those.
	Itself bool
	// AuthorityFile holds the authority of the other relays' certificates; empty: the system's ones.
	AuthorityFile string
}

func (r *Relay) meshKeyFile() string { return filepath.Join(r.dir, "mesh.key") }

// meshWith is the list of other relays as both programs take it, or empty.
func (r *Relay) meshWith() string {
	with := slices.Clone(r.options.Mesh.With)
	if r.options.Mesh.Itself {
		with = append(with, r.Address())
	}
	return strings.Join(with, ",")
}

// derperMesh returns derper's flags and environment for its mesh.
func (r *Relay) derperMesh() (argv, env []string) {
	mesh := r.options.Mesh
	if mesh == nil {
		return nil, nil
	}
	argv = []string{"-mesh-psk-file", r.meshKeyFile()}
	if with := r.meshWith(); with != "" {
		argv = append(argv, "-mesh-with", with)
	}
	if mesh.AuthorityFile != "" {
		env = []string{"SSL_CERT_FILE=" + mesh.AuthorityFile}
	}
	return argv, env
}

// towpathMesh returns towpath's flags for its mesh.
func (r *Relay) towpathMesh() []string {
	mesh := r.options.Mesh
	if mesh == nil {
		return nil
	}
	argv := []string{"--mesh-key-file", r.meshKeyFile()}
	if with := r.meshWith(); with != "" {
		argv = append(argv, "--mesh-with", with)
	}
	if mesh.AuthorityFile != "" {
		argv = append(argv, "--mesh-ca-file", mesh.AuthorityFile)
	}
	return argv
}
