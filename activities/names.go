package activities

import "go.temporal.io/sdk/activity"

// Names of the activities. They are part of every recorded history, so that a
// name is never given another meaning.
const (
	NameExecuteCommand = "ExecuteCommand" // CommandInput → CommandOutput; asynchronous
	NameCloseCommand   = "CloseCommand"   // CloseInput → CommandOutput
	NameCommandTimeout = "CommandTimeout" // CommandTimeoutInput → time.Duration

	NameBeginProvision  = "BeginProvision"  // BeginInput → BeginOutput
	NameVerifyProvision = "VerifyProvision" // VerifyInput → VerifyOutput
	NameEndProvision    = "EndProvision"    // EndInput → EndOutput
	NameNoteProvision   = "NoteProvision"   // NoteInput → nothing

	NameSaveApproval = "SaveApproval" // ApprovalInput → nothing

	NamePinDefinition = "PinDefinition" // PinInput → PinOutput
	NameSaveRun       = "SaveRun"       // deviceops.Run → nothing
	NameSavePause     = "SavePause"     // PauseInput → nothing
	NameRecallSteps   = "RecallSteps"   // RecallInput → RecallOutput
	NameDeviceFacts   = "DeviceFacts"   // FactsInput → deviceops.Device
	NameAction        = "Action"        // ActionInput → ActionOutput
	NameKeepOutput    = "KeepOutput"    // KeepInput → ActionOutput
	NameEmitEvent     = "EmitEvent"     // EmitInput → nothing
	NameWatchEvents   = "WatchEvents"   // WatchInput → WatchOutput

	NamePinRollout     = "PinRollout"       // PinRolloutInput → PinRolloutOutput
	NamePlanRollout    = "PlanRollout"      // PlanRolloutInput → PlanRolloutOutput
	NameCountRollout   = "CountRollout"     // CountInput → CountOutput
	NameSaveRollout    = "SaveRolloutState" // SaveRolloutInput → nothing
	NameControlRollout = "ControlRollout"   // ControlInput → ControlOutput
	NameCreateRollback = "CreateRollback"   // RollbackInput → RollbackOutput
	NameSyncTicket     = "SyncTicket"       // TicketInput → TicketOutput

	NamePumpRollout = "PumpRollout" // PumpInput → PumpOutput

	NameFireSchedule = "FireSchedule" // FireInput → nothing
)

// Registry takes activities: a worker or a test environment.
type Registry interface {
	RegisterActivityWithOptions(activity any, options activity.RegisterOptions)
}

// Register registers all activities with r.
func Register(r Registry, d Deps) {
	commands, provision := &Commands{deps: d}, &Provision{deps: d}
	pumps := &Pumps{deps: d}
	approvals, runs, tickets := &Approvals{deps: d}, newRuns(d), &Tickets{deps: d}
	rollouts := &Rollouts{deps: d}
	for _, a := range []struct {
		name     string
		activity any
	}{
		{NameExecuteCommand, commands.Execute},
		{NameCloseCommand, commands.Close},
		{NameCommandTimeout, commands.Timeout},
		{NameBeginProvision, provision.Begin},
		{NameVerifyProvision, provision.Verify},
		{NameEndProvision, provision.End},
		{NameNoteProvision, provision.Note},
		{NameSaveApproval, approvals.Save},
		{NamePinDefinition, runs.Pin},
		{NameSaveRun, runs.Save},
		{NameSavePause, runs.SavePause},
		{NameRecallSteps, runs.Recall},
		{NameDeviceFacts, runs.Facts},
		{NameAction, runs.Action},
		{NameKeepOutput, runs.Keep},
		{NameEmitEvent, runs.Emit},
		{NameWatchEvents, runs.Watch},
		{NamePumpRollout, pumps.Pump},
		{NameSyncTicket, tickets.Sync},
		{NameFireSchedule, (&Schedules{deps: d}).Fire},
		{NamePinRollout, rollouts.Pin},
		{NamePlanRollout, rollouts.Plan},
		{NameCountRollout, rollouts.Count},
		{NameSaveRollout, rollouts.Save},
		{NameControlRollout, rollouts.Control},
		{NameCreateRollback, rollouts.CreateRollback},
	} {
		r.RegisterActivityWithOptions(a.activity, activity.RegisterOptions{Name: a.name})
	}
}
