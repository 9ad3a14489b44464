package serverless

import "maps"

// Variables of a translation.
const (
	dataVariable    = "data"           // what flows from task to task
	contextVariable = "context"        // what tasks export
	startVariable   = "workflow_input" // what the first task got
)

// scope is what tasks see at their place.
type scope struct {
	data   string                     // the variable that holds what flows
	vars   map[string]jqVariableValue // the variables of expressions
	branch string                     // what keeps a task from ending the run; "": nothing
	loops  []string                   // the variables that count the rounds of the loops around the place
}

func variable(name string) exp {
	return exp{src: "vars." + name, level: levelAtom, data: true}
}

func newScope(definition map[string]exp) scope {
	workflow := map[string]exp{"id": atom(kindText, "run.id"), "input": {src: "inputs.input", level: levelAtom, data: true}}
	maps.Copy(workflow, definition)
	return scope{data: dataVariable, vars: map[string]jqVariableValue{
		"context":       {value: exp{src: "vars." + contextVariable, level: levelAtom, kind: kindMap, orNull: true, data: true}},
		"workflow":      {members: workflow},
		"secrets":       {why: "secrets are out of reach of expressions; the credentials of a call may name one"},
		"authorization": {why: "credentials are out of reach of expressions"},
		"runtime":       {why: "it differs between engines"},
	}}
}

// dot is what flows into a task.
func (s scope) dot() exp { return flowing(s.data) }

// flowing is a variable that holds what goes from task to task.
func flowing(name string) exp {
	e := variable(name)
	e.flows = true
	return e
}

func (s scope) env() jqEnv { return jqEnv{dot: s.dot(), vars: s.vars} }

// bound gives a scope in which expressions see one variable more.
func (s scope) bound(name string, value exp) scope {
	s.vars = maps.Clone(s.vars)
	s.vars[name] = jqVariableValue{value: value}
	return s
}

// inTask gives the scope of what is inside a task.
func (s scope) inTask(t task) scope {
	s = s.bound("input", s.dot())
	members := map[string]exp{"name": textExp(t.name), "reference": textExp(t.pointer)}
	if input := t.get("input"); input == nil || get(input, "from") == nil { // else the raw input is gone by then
		members["input"] = s.dot()
	}
	s.vars["task"] = jqVariableValue{members: members}
	return s
}
