package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/cucumber/godog"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// cloudEventsFeatures names a folder with other features to run, such as those of
// https://github.com/cloudevents/conformance.
const cloudEventsFeatures = "DEVICEOPS_TEST_CLOUDEVENTS_FEATURES"

// TestCloudEventsConformance sends the requests of the features to a webhook, and
// compares what they say with the events that they become.
func TestCloudEventsConformance(t *testing.T) {
	t.Parallel()
	path := "testdata/cloudevents.feature"
	if other := os.Getenv(cloudEventsFeatures); other != "" {
		path = other
	}
	c := &conformance{t: t}
	suite := godog.TestSuite{
		ScenarioInitializer: c.scenario,
		Options:             &godog.Options{Format: "progress", Output: io.Discard, Paths: []string{path}, TestingT: t, Strict: true, Tags: "~@kafka"},
	}
	require.Zero(t, suite.Run())
	require.GreaterOrEqual(t, c.passed, 4)
	t.Logf("%d scenarios of %s pass", c.passed, path)
}

// conformance is the scenario that is played.
type conformance struct {
	t *testing.T
	*rig
	request *http.Request
	body    string
	event   deviceops.Event
	passed  int
}

func (c *conformance) scenario(s *godog.ScenarioContext) {
	s.Before(func(ctx context.Context, _ *godog.Scenario) (context.Context, error) {
		c.rig = newHookRig(c.t, ordersYAML) // scenarios send events of the same id, which would be heard once
		return ctx, nil
	})
	s.Step(`^HTTP Protocol Binding is supported$`, func() error { return nil })
	s.Step(`^an HTTP request$`, c.read)
	s.Step(`^parsed as HTTP request$`, c.send)
	s.Step(`^the attributes are:$`, c.attributes)
	s.Step(`^the data is equal to the following JSON:$`, c.data)
}

func (c *conformance) read(text *godog.DocString) error {
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text.Content)))
	if err != nil {
		return err
	}
	body, err := io.ReadAll(request.Body)
	c.request, c.body = request, string(body)
	return err
}

// send signs the request and sends it.
func (c *conformance) send() error {
	var headers []string
	for name, values := range c.request.Header {
		if name != "Content-Length" {
			headers = append(headers, name, values[0])
		}
	}
	answer := c.calls(c.body, headers...)
	event, err := c.store.FindEvent(c.Context(), answer.Event)
	c.event = event
	return err
}

func (c *conformance) attributes(table *godog.Table) error {
	got := map[string]any{"id": c.event.Call.ID, "source": c.event.Call.Source, "type": c.event.Type}
	if c.event.Call.Subject != "" {
		got["subject"] = c.event.Call.Subject
	}
	maps.Copy(got, c.event.Call.Attributes)
	want := map[string]any{}
	for _, row := range table.Rows[1:] {
		want[row.Cells[0].Value] = row.Cells[1].Value
	}
	return differs(want, got)
}

func (c *conformance) data(text *godog.DocString) error {
	var want map[string]any
	if err := json.Unmarshal([]byte(text.Content), &want); err != nil {
		return err
	}
	encoded, err := json.Marshal(c.event.Data)
	if err != nil {
		return err
	}
	got := map[string]any{}
	if err := json.Unmarshal(encoded, &got); err != nil {
		return err
	}
	c.passed++
	return differs(want, got)
}

func differs(want, got any) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return deviceops.Errorf(deviceops.EFAILED, "want - got +:\n%s", diff)
	}
	return nil
}
