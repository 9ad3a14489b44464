package workflows

import (
	"time"

	"github.com/deviceops/deviceops"
)

// TaskQueue is the queue that all workers of an installation poll.
const TaskQueue = "deviceops"

// Workflow types of the engine. They begin with a capital letter, which names of
// definitions cannot.
const (
	TypeProvision = "Provision"               // input ProvisionInput
	TypeRollout   = deviceops.RolloutWorkflow // input RolloutInput
	TypeTrigger   = "Trigger"                 // input TriggerInput

	// TypeRun is the type of runs that were started, or asked for, before a run
	// had the name of its definition as type. They go on under it, with the runs
	// that they start, since their histories say so. Input RunInput.
	TypeRun = "Run"
)

// RunType gives the type of a run's workflow: the name of its definition, which
// is what lists of workflows show.
func RunType(r deviceops.Run) string { return r.Workflow }

// Names of messages to workflows.
const (
	UpdateDecide   = "decide"   // deviceops.Decision → deviceops.Approval; Provision, Run and Rollout
	UpdateDelegate = "delegate" // deviceops.Delegation → deviceops.Approval; Provision, Run and Rollout
	UpdatePause    = "pause"    // deviceops.RunControl → nothing; Run
	UpdateResume   = "resume"   // deviceops.RunControl → nothing; Run
	QueryRun       = "run"      // → deviceops.Run with steps; Run
	QueryProvision = "progress" // → ProvisionProgress; Provision

	UpdateControl = "control" // deviceops.RolloutControl → deviceops.RolloutControlled; Rollout
	QueryRollout  = "rollout" // → RolloutProgress; Rollout
	SignalNudge   = "nudge"   // nothing: devices of the rollout moved; Rollout
)

// ProvisionInput starts the provisioning of a device.
type ProvisionInput struct {
	Device string `json:"device"`
	// AdmittedBy is the person who let an unregistered or quarantined device
	// in; it replaces the claim check. Empty when the device came by itself.
	AdmittedBy string `json:"admitted_by,omitempty"`
}

// ProvisionProgress says where the provisioning of a device stands.
type ProvisionProgress struct {
	Phase    string `json:"phase"`     // claim, approval, configure, install, verify, workflow, activate, done
	WaitsFor string `json:"waits_for"` // in words
}

// RunInput starts a run of a published workflow. The version is resolved before
// the start, so that a retried start means the same.
type RunInput struct {
	Run   deviceops.Run `json:"run"`             // id, account, workflow, version, hash, device, inputs, started_by, reason, rerun_of
	Depth int           `json:"depth,omitempty"` // how many runs started one another down to this; 0: no run started it

	// Every is the number of steps after which the run goes on in a new
	// execution; 0: when its history has grown long.
	Every   int      `json:"every,omitempty"`
	Carried *carried `json:"carried,omitempty"` // set by the engine alone: where the execution before stopped
}

// RolloutInput starts the workflow of a rollout.
type RolloutInput struct {
	Rollout string `json:"rollout"` // id
	// Late says that the rollout has ended, and devices have come that are late:
	// see to them.
	Late bool `json:"late,omitempty"`

	// Every is the number of looks at the counts after which it goes on in a new
	// execution; 0: when its history has grown long.
	Every   int           `json:"every,omitempty"`
	Carried *rolloutState `json:"carried,omitempty"` // set by the engine alone: where the execution before stopped
}

// RolloutProgress says where a rollout stands.
type RolloutProgress struct {
	Rollout  deviceops.Rollout     `json:"rollout"`            // with rings and counts, without its manifest
	Next     deviceops.RolloutStep `json:"next"`               // as decided last
	LookedAt time.Time             `json:"looked_at,omitzero"` // when the counts were read
}

// RolloutStart asks for the workflow of a rollout.
func RolloutStart(in RolloutInput) deviceops.Start {
	return deviceops.Start{WorkflowID: deviceops.RolloutWorkflowID(in.Rollout), Type: TypeRollout, Input: in}
}

// TriggerInput lets an automation hear that a time of its schedule has come.
type TriggerInput struct {
	Automation deviceops.AutomationRef `json:"automation"`
}

// TriggerStart asks for the workflow by which a timetable calls an automation.
func TriggerStart(ref deviceops.AutomationRef) deviceops.Start {
	return deviceops.Start{WorkflowID: "trigger/" + ref.Account + "/" + ref.Name, Type: TypeTrigger, Input: TriggerInput{Automation: ref}}
}

// ProvisionID gives the workflow id under which a device is provisioned: one
// per device, so that two helloes start one workflow.
func ProvisionID(device string) string { return "provision/" + device }

// ProvisionStart asks for the provisioning of a device.
func ProvisionStart(in ProvisionInput) deviceops.Start {
	return deviceops.Start{WorkflowID: ProvisionID(in.Device), Type: TypeProvision, Input: in, Device: in.Device}
}

// RunStart asks for a run. Steps that it copies are in the store.
func RunStart(r deviceops.Run) deviceops.Start {
	r.Steps = nil
	return deviceops.Start{WorkflowID: r.ID, Type: RunType(r), Input: RunInput{Run: r}, Device: r.Device}
}
