package catalogue

import (
	"encoding/json"
	"os"
)

// Outcome is the result of one statement on one transport.
type Outcome string

// The possible outcomes. A difference by choice is asserted like a statement, and passes or fails; what a relay cannot be
// told to do is not applicable, and nothing was asserted.
const (
	Passed        Outcome = "pass"
	AsChosen      Outcome = "as chosen"
	NotApplicable Outcome = "not applicable"
	Failed        Outcome = "fail"
)

// Results are the outcomes of one run: statement number, then the way it was driven ("TLS", "WebSocket", or "" where
// there is only one way).
type Results struct {
	Target   string
	Outcomes map[int]map[string]Outcome
}

// Write stores the results as JSON.
func (r Results) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// Read loads what Write stored.
func Read(path string) (Results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Results{}, err
	}
	var results Results
	return results, json.Unmarshal(text, &results)
}

// Overall is the worst outcome of a statement over all ways in which it was driven, or empty when it was not run.
func (r Results) Overall(number int) Outcome {
	var worst Outcome
	for _, candidate := range []Outcome{Passed, AsChosen, NotApplicable, Failed} {
		for _, outcome := range r.Outcomes[number] {
			if outcome == candidate {
				worst = candidate
			}
		}
	}
	return worst
}

// Count says how many statements have which outcome.
func (r Results) Count() map[Outcome]int {
	counts := map[Outcome]int{}
	for _, statement := range Statements {
		counts[r.Overall(statement.Number)]++
	}
	return counts
}
