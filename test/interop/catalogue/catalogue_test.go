package catalogue

import (
	"path/filepath"
	"reflect"
	"testing"
)

func TestStatementsAscend(t *testing.T) {
	for index, statement := range Statements[1:] {
		if previous := Statements[index]; statement.Number <= previous.Number {
			t.Errorf("statement %d follows %d", statement.Number, previous.Number)
		}
	}
}

func TestDifferencesBelongToStatements(t *testing.T) {
	type place struct {
		key       string
		statement int
		target    string
	}
	seen := map[place]bool{}
	for _, difference := range Differences {
		if _, known := Find(difference.Statement); !known {
			t.Errorf("difference %s is of statement %d, which does not exist", difference.Key, difference.Statement)
		}
		if difference.Chosen == "" || difference.Reason == "" {
			t.Errorf("difference %s has no words", difference.Key)
		}
		for _, target := range difference.Targets {
			name := place{difference.Key, difference.Statement, target}
			if seen[name] {
				t.Errorf("difference %s of statement %d is there twice for %s", difference.Key, difference.Statement, target)
			}
			seen[name] = true
		}
	}
}

func TestOverallIsTheWorst(t *testing.T) {
	results := Results{Outcomes: map[int]map[string]Outcome{
		5: {"TLS": Passed, "WebSocket": Passed},
		6: {"TLS": Passed, "WebSocket": AsChosen},
		7: {"TLS": Failed, "WebSocket": AsChosen},
		9: {"TLS": NotApplicable},
	}}
	for number, want := range map[int]Outcome{5: Passed, 6: AsChosen, 7: Failed, 8: "", 9: NotApplicable} {
		if got := results.Overall(number); got != want {
			t.Errorf("statement %d: %q, not %q", number, got, want)
		}
	}
	want := map[Outcome]int{Passed: 1, AsChosen: 1, NotApplicable: 1, Failed: 1, "": len(Statements) - 4}
	if got := results.Count(); !reflect.DeepEqual(got, want) {
		t.Errorf("counts are %v", got)
	}
}

func TestResultsSurviveTheFile(t *testing.T) {
	results := Results{Target: "derper", Outcomes: map[int]map[string]Outcome{24: {"": Passed}}}
	path := filepath.Join(t.TempDir(), "results.json")
	if err := results.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil || !reflect.DeepEqual(got, results) {
		t.Errorf("read %v, %v", got, err)
	}
}
