package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tailscale.com/tailcfg"
)

// PrintedDERPMap asks towpath for the DERP map of this relay, as its operator would.
func (r *Relay) PrintedDERPMap() (*tailcfg.DERPMap, error) {
	config := filepath.Join(r.dir, "derp-map.yaml")
	text := fmt.Sprintf("listen: %q\nhttp: off\nstun: %q\nhostname: %s\npublicIp: %s\nkeyFile: %q\n"+
		"certificate: { mode: file, file: %q, keyFile: %q }\nregion: { id: 900, code: own, name: Own relay }\n",
		r.Address(), r.STUNAddress(), r.Host, r.Host, r.keyFile(), r.Certificate.CertificateFile, r.Certificate.KeyFile)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	argv := append(TowpathCommand(), "derp-map", "--config", config, "--format", "json")
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("derp-map: %w\n%s", err, complaints.String())
	}
	var derpMap tailcfg.DERPMap
	if err := json.Unmarshal(output, &derpMap); err != nil {
		return nil, fmt.Errorf("derp-map printed %s: %w", output, err)
	}
	return &derpMap, nil
}
