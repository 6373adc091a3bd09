package relay

import (
	"os"
	"strings"
	"testing"
)

// The programs are cached under the version of the module that the packages come from.
func TestVersionIsTheModules(t *testing.T) {
	text, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "tailscale.com "+Version+"\n") {
		t.Errorf("go.mod does not require tailscale.com %s", Version)
	}
}
