package dsl

import (
	"errors"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/deviceops/deviceops"
)

// memoryBudget is how many values one evaluation may allocate, as expr counts.
const memoryBudget = 100_000

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct {
	Source   string // as written
	program  *vm.Program
	constant *bool // set when it is written as true or false

	readsDevice bool // the variable device is among what it reads
}

// always reports whether the expression is the constant b.
func (e *Expression) always(b bool) bool { return e != nil && e.constant != nil && *e.constant == b }

// Eval gives the result in env, in canonical form. EINVALID if the expression
// fails on these values, EEXHAUSTED if it needs too much work.
func (e *Expression) Eval(env Env) (any, error) {
	return e.run(env.variables())
}

// Bool evaluates a condition. A nil Expression is true. EINVALID if the result
// is no boolean.
func (e *Expression) Bool(env Env) (bool, error) {
	if e == nil {
		return true, nil
	}
	v, err := e.Eval(env)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, deviceops.Errorf(deviceops.EINVALID, "the condition `%s` gives %s, not true or false", e.Source, describe(v))
	}
	return b, nil
}

func (e *Expression) run(variables map[string]any) (any, error) {
	b := newBudget()
	variables[budgetName] = b
	return e.runOn(&vm.VM{MemoryBudget: memoryBudget}, variables, b)
}

// runOn evaluates on a machine that evaluations which follow one another share;
// b is the budget among variables.
func (e *Expression) runOn(machine *vm.VM, variables map[string]any, b *budget) (any, error) {
	v, err := machine.Run(e.program, variables)
	if err != nil {
		return nil, e.failed(err)
	}
	c, err := canonical(v, b)
	if err != nil {
		return nil, e.failed(err)
	}
	return c, nil
}

// failed makes an error of the domain out of what the machine says. Its text
// must be the same on every replay, so nothing of the machine's state is in it.
func (e *Expression) failed(err error) error {
	var own *deviceops.Error
	if errors.As(err, &own) {
		return deviceops.Errorf(own.Code, "`%s`: %w", e.Source, own)
	}
	message := err.Error()
	var at *file.Error
	if errors.As(err, &at) {
		message = at.Message
	}
	switch m := conversion.FindStringSubmatch(message); {
	case strings.Contains(message, storedTypeName), strings.Contains(message, "on func Value"):
		return e.unreadable()
	case strings.Contains(message, "<nil>"), m != nil && m[1] == "nil":
		return deviceops.Errorf(deviceops.EINVALID, "`%s`: %w", e.Source, errMissing)
	case m != nil:
		return deviceops.Errorf(deviceops.EINVALID, "`%s`: %s is given where %s is needed", e.Source, goTypeName(m[1]), goTypeName(m[2]))
	case strings.Contains(message, "memory budget"):
		return deviceops.Errorf(deviceops.EEXHAUSTED, "`%s`: the expression needs too much memory: move it into an action or make its data smaller", e.Source)
	}
	return deviceops.Errorf(deviceops.EINVALID, "`%s`: %s", e.Source, message)
}

// conversion matches what the machine says when an operand has the wrong type.
var conversion = regexp.MustCompile(`^interface conversion: interface \{\} is (.+), not (.+)$`)

func goTypeName(name string) string {
	switch name {
	case "string":
		return "a text"
	case "bool":
		return "a boolean"
	case "int", "int64":
		return "an integer"
	case "float64":
		return "a number"
	}
	return "a " + friendlyTypes(name)
}

// budgetName is the variable that carries the budget of one evaluation. Names
// that begin with two underscores are refused in documents.
const budgetName = "__budget"

// variables gives env as expressions see it.
func (env Env) variables() map[string]any {
	if env.all != nil {
		return env.all
	}
	steps := make(map[string]any, len(env.Steps))
	for id, result := range env.Steps {
		steps[id] = result.variables()
	}
	vars := map[string]any{
		"inputs": orEmpty(env.Inputs),
		"steps":  steps,
		"vars":   orEmpty(env.Vars),
		"device": orEmpty(env.Device),
		"run": map[string]any{
			"id": env.Run.ID, "workflow": env.Run.Workflow, "version": int64(env.Run.Version),
			"started_by": env.Run.StartedBy, "now": env.Run.Now.UTC(),
		},
	}
	if env.Error != nil {
		vars["error"] = failureVariables(env.Error)
	}
	for name, v := range env.Locals {
		vars[name] = v
	}
	return vars
}

func (r StepResult) variables() map[string]any {
	m := map[string]any{"status": r.Status, "output": r.Output, "error": nil, "attempts": int64(r.Attempts)}
	if r.Error != nil {
		m["error"] = failureVariables(r.Error)
	}
	return m
}

func failureVariables(f *Failure) map[string]any {
	return map[string]any{
		"code": f.Code, "message": f.Message, "retryable": f.Retryable, "step": f.Step, "data": anyMap(f.Data),
	}
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}
