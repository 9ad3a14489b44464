package bench

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// One event of a thousand holds for one automation, and the others for none.
func TestOneEventOfAThousandMatches(t *testing.T) {
	const n = 100
	compiled, found := dsl.CheckFile("bench.yaml", ingestDocuments(0, n), dsl.Options{})
	require.Empty(t, found)
	var automations []deviceops.Automation
	for _, c := range compiled {
		if c.Automation != nil {
			automations = append(automations, c.Automation.Rules())
		}
	}
	require.Len(t, automations, n)
	l := newLoad("", []string{"d1", "d2"}, n)
	for number := range int64(3 * matchEvery) {
		_, payload, err := l.event(number)
		require.NoError(t, err)
		var said struct {
			Type string
			Data map[string]any
		}
		require.NoError(t, json.Unmarshal(payload, &said))
		occasion := deviceops.Occasion{Event: dsl.EventFacts(deviceops.Event{Type: said.Type, Data: said.Data})}
		heard, held := 0, 0
		for _, a := range automations {
			if a.Event != said.Type {
				continue
			}
			heard++
			if judged, err := a.Rules.Judge(occasion); err == nil && judged.Verdict == deviceops.Yes {
				held++
			}
		}
		require.Equal(t, listeners, heard)
		require.Equal(t, number%matchEvery == 0, held == 1)
	}
	require.Len(t, l.takeMatches(), 3)
}

func TestTheIngestsRatios(t *testing.T) {
	b := ingesting{raw: Figure{Value: 4000}, stored: Figure{Value: 3000}, half: []time.Duration{time.Millisecond, 9 * time.Millisecond}, firstHeap: 100, lastHeap: 105}
	r := b.result()
	require.Equal(t, map[string]float64{"events_to_raw_drain": 0.75, "live_heap_last_to_first": 1.05}, r.Ratios)
	require.Equal(t, 9.0, r.Figures["event_to_run_p99"].Value)
}
