package dsl

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReads(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `workflow: w
inputs:
  device: device
  a: { type: integer, default: 1 }
  b: { type: integer, default: 1 }
  c: { type: string, default: "" }
device: ${{ inputs.device }}
steps:
  - set: { x: 1 }
  - set: { y: "${{ inputs.a + vars.x }}" }
  - if: inputs.b > 1
    try:
      - wait: ${{ inputs.c }}
        device: "k${{ inputs.a }}"
      - foreach: { items: [1], steps: [ { wait: 1s } ] }
    catch: [ { wait: 1s } ]
  - set: { z: "${{ keys(inputs) }}", w: "${{ inputs[vars.x > 1 ? 'a' : 'b'] }}" }
  - set: { v: "${{ vars.y + vars.x }}", u: 'inputs.a is just text' }
  - return: "${{ let inputs2 = {'a': 1}; inputs2.a }}"
outputs: { a: "${{ inputs.a }}", z: "${{ vars.z }}${{ vars.w }}${{ vars.v }}${{ vars.u }}" }
`)
	var reads [][]string
	for _, s := range p.Root.Steps {
		reads = append(reads, s.Reads)
	}
	require.Equal(t, [][]string{nil, {"a"}, {"a", "b", "c"}, {"a", "b", "c", "device"}, nil, nil}, reads)
	require.Equal(t, []string{"device"}, p.DeviceReads)
	inner := p.Root.Steps[2].Op.(*Try).Body.Steps
	require.Equal(t, []string{"a", "c"}, inner[0].Reads)
	require.Empty(t, inner[1].Reads)
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	a := mustCompile(t, `workflow: w
version: 1
device: k1   # the first
steps:
  # what it was
  - set: { x: "010", y: 'b' }
  - { command: reboot, with: { mode: soft } }
  - fail: now
`)
	b := mustCompile(t, `workflow: w
version: 2
timeout: 1h
device: "k1"
steps:
  - set:
      x: "010"
      y: b
  - command: reboot
    with:
      mode: soft
  - fail: later
`)
	require.Equal(t, "device: k1\nsteps:\n    - set:\n        x: \"010\"\n        y: b\n    - command: reboot\n      with:\n        mode: soft\n", a.Prefix(2))
	require.Equal(t, a.Prefix(2), b.Prefix(2))
	require.NotEqual(t, a.Prefix(3), b.Prefix(3))
	require.Equal(t, a.Prefix(3), a.Prefix(9))
	c := mustCompile(t, "workflow: w\ndevice: k1\nsteps:\n  - set: { y: b, x: \"010\" }\n")
	require.NotEqual(t, a.Prefix(1), c.Prefix(1), "set assigns in order")
}
