// Command conformance-report makes docs/conformance.md from the results of the conformance suite.
//
// The text depends on outcomes only, so that two runs with the same outcomes give the same file.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

func main() {
	folder := flag.String("results", "", "folder with the results of the runs, a file for each relay")
	out := flag.String("out", "", "file to write, or to compare with")
	check := flag.Bool("check", false, "do not write, fail when the file differs")
	flag.Parse()
	if err := run(*folder, *out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "conformance-report:", err)
		os.Exit(1)
	}
}

func run(folder, out string, check bool) error {
	var all []catalogue.Results
	for _, target := range relay.Targets {
		results, err := catalogue.Read(filepath.Join(folder, string(target)+".json"))
		if err != nil {
			return err
		}
		all = append(all, results)
	}
	text := report(all)
	if !check {
		return os.WriteFile(out, []byte(text), 0o644)
	}
	committed, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	if string(committed) != text {
		return fmt.Errorf("%s is not what this run gives; make it again with test/interop/run.sh conformance", out)
	}
	return nil
}

func report(all []catalogue.Results) string {
	var text strings.Builder
	text.WriteString(`# Conformance

<!-- Made by test/interop/run.sh from a run of the suite. Do not edit. -->

Upstream's own client packages, version ` + relay.Version + `, and raw bytes drive a running relay from outside. Each statement of
our protocol reference that can be seen from there is one test. The same tests run against two releases of Go derper, which
shows that they describe what upstream does, and against towpath.

`)
	fmt.Fprintf(&text, "| | pass | as chosen | not applicable | fail | of |\n|---|---|---|---|---|---|\n")
	for _, results := range all {
		counts := results.Count()
		fmt.Fprintf(&text, "| %s | %d | %d | %d | %d | %d |\n", results.Target, counts[catalogue.Passed],
			counts[catalogue.AsChosen], counts[catalogue.NotApplicable], counts[catalogue.Failed], len(catalogue.Statements))
	}

	text.WriteString("\n## Statements\n\n")
	head, rule := "| No. | Statement | Driven over |", "|---|---|---|"
	for _, results := range all {
		head, rule = head+" "+results.Target+" |", rule+"---|"
	}
	text.WriteString(head + "\n" + rule + "\n")
	for _, statement := range catalogue.Statements {
		fmt.Fprintf(&text, "| %d | %s | %s |", statement.Number, statement.Text, strings.Join(ways(all, statement.Number), ", "))
		for _, results := range all {
			fmt.Fprintf(&text, " %s |", cell(results, statement.Number))
		}
		text.WriteString("\n")
	}

	text.WriteString("\n## Differences\n\nEach is asserted by the test of its statement: the relay must do what is said here. " +
		"Only where a relay is said not to be able to run a statement, nothing was asserted.\n\n" +
		"| No. | Relay | What it does | Why |\n|---|---|---|---|\n")
	for _, difference := range sorted(catalogue.Differences) {
		fmt.Fprintf(&text, "| %d | %s | %s | %s |\n", difference.Statement, strings.Join(difference.Targets, ", "), difference.Chosen, difference.Reason)
	}

	text.WriteString("\n## Not in this suite\n\n| No. | Why |\n|---|---|\n")
	for _, elsewhere := range catalogue.Elsewhere {
		fmt.Fprintf(&text, "| %s | %s |\n", elsewhere.Numbers, elsewhere.Reason)
	}
	return text.String()
}

func sorted(differences []catalogue.Difference) []catalogue.Difference {
	return slices.SortedStableFunc(slices.Values(differences), func(a, b catalogue.Difference) int {
		return a.Statement - b.Statement
	})
}

// ways lists how a statement was driven.
func ways(all []catalogue.Results, number int) []string {
	var names []string
	for _, results := range all {
		for way := range results.Outcomes[number] {
			if way == "" {
				way = "one way"
			}
			if !slices.Contains(names, way) {
				names = append(names, way)
			}
		}
	}
	slices.Sort(names)
	return names
}

// cell returns the result of a statement: one word when it is the same for all ways.
func cell(results catalogue.Results, number int) string {
	outcomes := results.Outcomes[number]
	worst := results.Overall(number)
	if worst == "" {
		return "not run"
	}
	var parts []string
	same := true
	for way, outcome := range outcomes {
		same = same && outcome == worst
		parts = append(parts, way+" "+string(outcome))
	}
	if same {
		return string(worst)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
