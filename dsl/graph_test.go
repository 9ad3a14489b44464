package dsl

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const graphSource = `workflow: night-shift
version: 12
inputs: { site: string, device: device }
device: ${{ inputs.device }}
steps:
  - id: look
    parallel:
      power:
        - command: read
          device: meter-1
          retry: { times: 2, delay: 10s..1m }
        - if: inputs.site == "x"
          wait: 10m
      doors:
        - wait: { event: door.closed, where: event.data.open < 1, timeout: 2h }
        - set: { closed: true, count: 1 }
  - id: ask
    approve: Close ${{ inputs.site }}?
    by: [role:operator]
    expires: 2h
  - id: each
    foreach:
      items: [k1, k2, k3]
      as: kiosk
      max_parallel: 5
      on_error: tolerate 5%
      steps:
        - id: restart
          command: reboot
          device: ${{ kiosk }}
          undo:
            - action: log
              with: { message: sorry }
  - switch:
      - if: inputs.site == "berlin"
        steps:
          - run: close@3
          - run: close@latest
    default:
      - while: index < 3
        steps:
          - try:
              - emit: store.closed
              - fail: { code: shut, message: "${{ inputs.site }} is shut" }
            catch:
              - return:
            finally:
              - wait: 1m
`

func graphOf(t *testing.T) *Graph {
	t.Helper()
	return mustCompile(t, graphSource).Graph()
}

var graphNoon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// graphRun came as far as the second of three kiosks.
func graphRun() deviceops.Run {
	row := func(step, verb string, status deviceops.RunStatus, took time.Duration) deviceops.RunStep {
		s := deviceops.RunStep{Step: step, Verb: verb, Status: status, Attempts: 1, StartedAt: graphNoon}
		if status.Ended() {
			s.FinishedAt = graphNoon.Add(took)
		}
		return s
	}
	rows := []deviceops.RunStep{
		row("look", "parallel", deviceops.RunSucceeded, 90*time.Second),
		row("steps.0.parallel.power.0", "command", deviceops.RunSucceeded, 1500*time.Millisecond),
		row("steps.0.parallel.power.1", "wait", deviceops.RunSkipped, 0),
		row("ask", "approve", deviceops.RunSucceeded, 95*time.Minute),
		row("each", "foreach", deviceops.RunRunning, 0),
		row("restart", "command", deviceops.RunFailed, time.Second),
		row("restart", "command", deviceops.RunWaiting, 0),
		row("restart", "command", deviceops.RunSucceeded, 20*time.Millisecond),
	}
	rows[1].Attempts = 2
	rows[3].Output = map[string]any{"by": "user:maria"}
	rows[6].WaitsFor, rows[6].Error = "device k2 to carry out reboot", &deviceops.RunError{Code: "busy", Message: `in use by "A & B" <now>`}
	return deviceops.Run{ID: "run-1", Status: deviceops.RunWaiting, StartedAt: graphNoon, Steps: rows}
}

func TestGraphAsText(t *testing.T) {
	t.Parallel()
	require.Equal(t, `night-shift@12
├─ look  parallel
│  ├─ power
│  │  ├─ command read
│  │  │    on meter-1, 2 re-tries after 10s..1m
│  │  └─ wait 10m
│  │       if inputs.site == "x"
│  └─ doors
│     ├─ wait for door.closed
│     │    where event.data.open < 1, timeout 2h
│     └─ set closed, count
├─ ask  approve: Close {inputs.site}?
│    by role:operator, expires after 2h
├─ each  foreach kiosk in ["k1","k2","k3"]
│  │   5 at once, 5 % may fail
│  └─ restart  command reboot
│     │   on kiosk
│     └─ undo: to take it back
│        └─ action log
│             on kiosk
└─ switch
   ├─ if inputs.site == "berlin"
   │  ├─ run close@3
   │  └─ run close@latest
   └─ otherwise
      └─ while index < 3
         └─ try
            ├─ emit store.closed
            ├─ fail: {inputs.site} is shut
            ├─ catch: when one of them failed
            │  └─ return
            └─ finally: in any case
               └─ wait 1m
`, graphOf(t).Text())
}

func TestGraphShowsWhatRan(t *testing.T) {
	t.Parallel()
	g := graphOf(t)
	g.Trace(graphRun(), graphNoon.Add(2*time.Hour))
	text, _, _ := strings.Cut(g.Text(), "└─ · switch")
	require.Equal(t, `… night-shift@12  waiting for 2h
├─ ✓ look  parallel
│  │   succeeded in 1m30s
│  ├─ power
│  │  ├─ ✓ command read
│  │  │    on meter-1, 2 re-tries after 10s..1m
│  │  │    succeeded in 1.5s, 2 attempts
│  │  └─ ↷ wait 10m
│  │       if inputs.site == "x"
│  │       skipped
│  └─ doors
│     ├─ · wait for door.closed
│     │    where event.data.open < 1, timeout 2h
│     └─ · set closed, count
├─ ✓ ask  approve: Close {inputs.site}?
│    by role:operator, expires after 2h
│    succeeded in 1h35m, decided by user:maria
├─ ▸ each  foreach kiosk in ["k1","k2","k3"]
│  │   5 at once, 5 % may fail
│  │   running for 2h
│  └─ … restart  command reboot
│     │   on kiosk
│     │   waiting for 2h, 3 rounds, 1 failed
│     │   waits for device k2 to carry out reboot
│     │   busy: in use by "A & B" <now>
│     └─ undo: to take it back
│        └─ · action log
│             on kiosk
`, text)
}

// shape is what a rectangle or a text of a drawing says of itself.
type shape struct{ x, y, width, height int }

// shapesOf reads a drawing, which has to be well-formed, and gives the size of
// the whole, its rectangles and its texts.
func shapesOf(t *testing.T, svg string) (whole shape, rects []shape, texts []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	d.Strict = true
	inText := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return whole, rects, texts
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
			switch s := shapeOf(token); token.Name.Local {
			case "svg":
				whole = s
			case "rect":
				rects = append(rects, s)
			}
		case xml.EndElement:
			inText = false
		case xml.CharData:
			if inText {
				texts = append(texts, string(token))
			}
		}
	}
}

func shapeOf(e xml.StartElement) shape {
	values := map[string]int{}
	for _, a := range e.Attr {
		values[a.Name.Local], _ = strconv.Atoi(a.Value)
	}
	return shape{values["x"], values["y"], values["width"], values["height"]}
}

func (s shape) holds(o shape) bool {
	return s.x <= o.x && s.y <= o.y && s.x+s.width >= o.x+o.width && s.y+s.height >= o.y+o.height
}

func (s shape) apart(o shape) bool {
	return s.x+s.width <= o.x || o.x+o.width <= s.x || s.y+s.height <= o.y || o.y+o.height <= s.y
}

func TestGraphAsSVG(t *testing.T) {
	t.Parallel()
	for _, width := range []int{MinGraphWidth, 400, DefaultGraphWidth, 1600} {
		t.Run(strconv.Itoa(width), func(t *testing.T) {
			t.Parallel()
			g := graphOf(t)
			g.Trace(graphRun(), graphNoon.Add(time.Hour))
			svg := g.SVG(width)
			whole, rects, texts := shapesOf(t, svg)
			require.Equal(t, width, whole.width)
			all := strings.Join(texts, " ")
			for _, want := range []string{"night-shift@12", "run-1", "decided by", `"A & B" <now>`, "otherwise", "undo: to take it back"} {
				require.Contains(t, all, want)
			}
			require.NotContains(t, svg, "<script")
			rects = rects[1:] // without the background
			for i, a := range rects {
				require.True(t, whole.holds(a), "%+v is inside %+v", a, whole)
				for _, b := range rects[:i] {
					require.True(t, a.apart(b) || a.holds(b) || b.holds(a), "%+v and %+v cross", a, b)
				}
			}
		})
	}
}

func TestGraphIsAsWideAsItsNesting(t *testing.T) {
	t.Parallel()
	source := "workflow: deep\nsteps:\n"
	indent := "  "
	for range MaxBlocks - 2 {
		source += indent + "- parallel:\n" + indent + "    a:\n"
		indent += "      "
	}
	g := mustCompile(t, source+indent+"- wait: 1s\n").Graph()
	whole, rects, _ := shapesOf(t, g.SVG(MinGraphWidth))
	require.Greater(t, whole.width, MinGraphWidth)
	for _, r := range rects[1:] {
		require.True(t, whole.holds(r))
		require.GreaterOrEqual(t, r.width, leastCard)
	}
}

func TestBranchesStandBesideOneAnotherWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	narrow, _, _ := shapesOf(t, graphOf(t).SVG(MinGraphWidth))
	wide, _, _ := shapesOf(t, graphOf(t).SVG(1600))
	require.Less(t, wide.height, narrow.height)
}

func TestWrapText(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"one two", "three"}, wrapText("one two three", 8, 3))
	require.Equal(t, []string{"one two …"}, wrapText("one two three", 9, 1))
	require.Equal(t, []string{"incompr…"}, wrapText("incomprehensible", 8, 2))
	require.Empty(t, wrapText("", 8, 2))
}
