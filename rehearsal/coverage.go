package rehearsal

import (
	"maps"
	"slices"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// Coverage tells which steps and branches of a workflow the cases went through. A
// branch is a block that was entered, and each of the two ways that a condition
// can go.
type Coverage struct {
	Workflow string      `json:"workflow"`
	Version  int         `json:"version"`
	File     string      `json:"file"`
	Steps    int         `json:"steps"`
	Branches int         `json:"branches"`
	Missed   []Uncovered `json:"missed"` // in the order of the file
	missed   [2]int      // steps, branches
}

// StepsRun and BranchesTaken are what the cases went through.
func (c Coverage) StepsRun() int { return c.Steps - c.missed[0] }

// BranchesTaken is the number of branches that the cases went through.
func (c Coverage) BranchesTaken() int { return c.Branches - c.missed[1] }

// Uncovered is a step or branch that no case went through.
type Uncovered struct {
	Line    int    `json:"line"`
	What    string `json:"what"` // "never run", "its if is never true" ...
	Step    string `json:"step"`
	Snippet string `json:"snippet"`
}

// coverage counts what happened to steps: by workflow and step.
type coverage map[*definition]map[string]*tally

type tally struct{ run, skipped bool }

// add counts the timeline of one run.
func (c coverage) add(d *definition, rows []deviceops.RunStep) {
	if d == nil {
		return
	}
	if c[d] == nil {
		c[d] = map[string]*tally{}
	}
	for _, row := range rows {
		t := c[d][row.StepID()]
		if t == nil {
			t = &tally{}
			c[d][row.StepID()] = t
		}
		t.run = t.run || row.Status != deviceops.RunSkipped
		t.skipped = t.skipped || row.Status == deviceops.RunSkipped
	}
}

// coverage makes the report, also of workflows that no case ran.
func (s *Suite) coverage(c coverage) []Coverage {
	all := []Coverage{}
	for _, name := range slices.Sorted(maps.Keys(s.workflows)) {
		for _, d := range s.workflows[name] {
			all = append(all, d.coverage(c[d]))
		}
	}
	return all
}

func (d *definition) coverage(seen map[string]*tally) Coverage {
	c := Coverage{Workflow: d.Name, Version: d.version, File: d.file, Missed: []Uncovered{}}
	for _, step := range d.AllSteps() {
		t := seen[step.ID]
		if t == nil {
			t = &tally{}
		}
		c.Steps++
		if !t.run {
			c.miss(0, d, step, "never run")
		}
		if step.If == nil {
			continue
		}
		c.Branches += 2
		if !t.run {
			c.missed[1]++ // its line is told already
		}
		if !t.skipped {
			c.miss(1, d, step, "its if is never false")
		}
	}
	for _, block := range d.AllBlocks() {
		c.block(d, block, seen)
	}
	slices.SortStableFunc(c.Missed, func(a, b Uncovered) int { return a.Line - b.Line })
	return c
}

// block counts a block that belongs to a step: it is a branch, taken when its
// first step was looked at.
func (c *Coverage) block(d *definition, b *dsl.Block, seen map[string]*tally) {
	if !strings.Contains(b.Path, "[") {
		return
	}
	c.Branches++
	if seen[b.Steps[0].ID] == nil {
		c.missed[1]++
	}
}

func (c *Coverage) miss(kind int, d *definition, step *dsl.Step, what string) {
	c.missed[kind]++
	snippet := ""
	if step.Line <= len(d.lines) {
		snippet = d.lines[step.Line-1]
	}
	c.Missed = append(c.Missed, Uncovered{Line: step.Line + d.offset, What: what, Step: step.ID, Snippet: snippet})
}
