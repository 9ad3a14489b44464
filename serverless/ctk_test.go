package serverless_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/cucumber/godog"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/serverless"
)

// refused are the scenarios of the conformance test kit whose workflows are not
// translated, with what is said about them.
var refused = map[string]string{
	"Call HTTP Using Basic Authentication": "credentials have to be a secret",
	"Call OpenAPI With Content Output":     "call: openapi is not translated",
	"Call OpenAPI With Response Output":    "call: openapi is not translated",
}

// TestConformance runs the scenarios of the specification's conformance test kit:
// each workflow is translated, checked, and run by the interpreter.
func TestConformance(t *testing.T) {
	t.Parallel()
	conformance := &kit{T: t}
	suite := godog.TestSuite{
		ScenarioInitializer: conformance.scenario,
		Options:             &godog.Options{Format: "progress", Output: io.Discard, Paths: []string{"testdata/ctk"}, TestingT: t, Strict: true},
	}
	require.Zero(t, suite.Run())
	t.Logf("%d scenarios pass, %d are refused by name", conformance.passed, conformance.refusals)
	require.Equal(t, 18, conformance.passed)
	require.Equal(t, len(refused), conformance.refusals)
}

// kit counts what became of the scenarios.
type kit struct {
	*testing.T
	passed, refusals int
}

// story is one scenario as it is told.
type story struct {
	*kit
	name     string
	stage    *stage
	workflow serverless.Workflow
	refused  bool
	input    any
	run      deviceops.Run
}

func (k *kit) scenario(c *godog.ScenarioContext) {
	s := &story{kit: k}
	c.Before(func(ctx context.Context, sc *godog.Scenario) (context.Context, error) {
		s.name = sc.Name
		s.stage = newStage(k)
		s.stage.server = httptest.NewServer(http.HandlerFunc(petstore))
		return ctx, nil
	})
	c.After(func(ctx context.Context, _ *godog.Scenario, err error) (context.Context, error) {
		s.stage.server.Close()
		if err == nil {
			k.count(s.refused)
		}
		return ctx, nil
	})
	c.Step(`^a workflow with definition:$`, s.definition)
	c.Step(`^given the workflow input is:$`, s.given)
	c.Step(`^the workflow is executed$`, s.execute)
	c.Step(`^the workflow should complete$`, s.completes)
	c.Step(`^the workflow should complete with output:$`, s.gives)
	c.Step(`^the workflow should fault$`, s.faults)
	c.Step(`^the workflow should fault with error:$`, s.faultsWith)
	c.Step(`^the workflow output should have properties (.*)$`, s.hasProperties)
	c.Step(`^the workflow output should have a '(.*)' property with value:$`, s.hasValue)
	c.Step(`^the workflow output should have a '(.*)' property containing (\d+) items$`, s.hasItems)
	c.Step(`^(\w+) should run first$`, s.runsFirst)
	c.Step(`^(\w+) should run last$`, s.runsLast)
	c.Step(`^(\w+) should run after (\w+)$`, s.runsAfter)
}

func (k *kit) count(refused bool) {
	if refused {
		k.refusals++
	} else {
		k.passed++
	}
}

func (s *story) definition(doc *godog.DocString) error {
	w, found := serverless.Import("ctk.yaml", doc.Content, activities.Actions())
	if want, isRefused := refused[s.name]; isRefused {
		s.refused = true
		if err := found.Err(); err == nil || !strings.Contains(err.Error(), want) {
			return fmt.Errorf("the workflow should be refused, since %s: %v", want, err)
		}
		return nil
	}
	if err := found.Err(); err != nil {
		return err
	}
	s.workflow = s.stage.translate(doc.Content)
	require.Equal(s, w, s.workflow)
	return nil
}

func (s *story) given(doc *godog.DocString) (err error) {
	s.input, err = read(doc)
	return err
}

func read(doc *godog.DocString) (any, error) {
	var v any
	err := yaml.Unmarshal([]byte(doc.Content), &v)
	return dsl.Canonical(v), err
}

func (s *story) execute() error {
	if !s.refused {
		s.run = s.stage.run(s.workflow, s.input)
	}
	return nil
}

func (s *story) completes() error {
	if !s.refused && s.run.Status != deviceops.RunSucceeded {
		return fmt.Errorf("the run is %s: %v", s.run.Status, s.run.Error)
	}
	return nil
}

func (s *story) gives(doc *godog.DocString) error {
	want, err := read(doc)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, s.output()); diff != "" {
		return fmt.Errorf("the output differs: %s", diff)
	}
	return s.completes()
}

func (s *story) output() any { return dsl.Canonical(s.run.Outputs["output"]) }

func (s *story) faults() error {
	if s.run.Status != deviceops.RunFailed {
		return fmt.Errorf("the run is %s", s.run.Status)
	}
	return nil
}

func (s *story) faultsWith(doc *godog.DocString) error {
	want, err := read(doc)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, dsl.Canonical(s.run.Error.Data)); diff != "" {
		return fmt.Errorf("the error differs: %s", diff)
	}
	return s.faults()
}

// property gives a part of the output by its path.
func (s *story) property(path string) (any, error) {
	v := s.output()
	for _, name := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		inner, ok := m[name]
		if !ok {
			return nil, fmt.Errorf("the output has no %s: %v", path, s.output())
		}
		v = inner
	}
	return v, nil
}

func (s *story) hasProperties(list string) error {
	for _, quoted := range strings.Split(list, ",") {
		if s.refused {
			return nil
		}
		if _, err := s.property(strings.Trim(quoted, " '")); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) hasValue(path string, doc *godog.DocString) error {
	want, err := read(doc)
	if err != nil {
		return err
	}
	got, err := s.property(path)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("%s differs: %s", path, diff)
	}
	return nil
}

func (s *story) hasItems(path string, count int) error {
	v, err := s.property(path)
	if list, _ := v.([]any); err == nil && len(list) != count {
		return fmt.Errorf("%s holds %v", path, v)
	}
	return err
}

// ran gives the tasks that ran, in the order of their start.
func (s *story) ran() []string {
	var names []string
	for _, row := range s.run.Steps {
		if id := row.StepID(); row.Status == deviceops.RunSucceeded && !strings.HasPrefix(id, "steps.") {
			names = append(names, id)
		}
	}
	return names
}

func (s *story) runsFirst(name string) error { return s.runsAt(name, 0) }

func (s *story) runsLast(name string) error { return s.runsAt(name, len(s.ran())-1) }

func (s *story) runsAt(name string, at int) error {
	if ran := s.ran(); len(ran) == 0 || ran[at] != name {
		return fmt.Errorf("%s should be number %d: %v", name, at, ran)
	}
	return nil
}

func (s *story) runsAfter(name, before string) error {
	ran := s.ran()
	if first := slices.Index(ran, before); first < 0 || slices.Index(ran, name) != first+1 {
		return fmt.Errorf("%s should run after %s: %v", name, before, ran)
	}
	return nil
}

// petstore is the part of the Swagger petstore that the scenarios call.
func petstore(w http.ResponseWriter, r *http.Request) {
	pet := func(id int) map[string]any { return map[string]any{"id": id, "name": "milou", "status": "available"} }
	w.Header().Set("Content-Type", "application/json")
	var answer any
	switch r.URL.RequestURI() {
	case "/v2/pet/1":
		answer = pet(1)
	case "/v2/pet/2":
		answer = pet(2)
	case "/v2/pet/findByStatus?status=available":
		answer = []any{pet(1), pet(2)}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}
