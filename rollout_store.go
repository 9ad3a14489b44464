package deviceops

import (
	"context"
	"time"
)

// Rollouts keeps rollouts, their rings and their devices. Statuses of devices
// and the counts of their rings change together.
type Rollouts interface {
	// CreateRollout stores a rollout with its rings in status planning, or gives
	// the stored one if the name exists in the account; created tells which.
	// ECONFLICT if it exists with another hash.
	CreateRollout(ctx context.Context, r Rollout) (stored Rollout, created bool, err error)

	// FindRollout gives a rollout with its rings, by id. ENOTFOUND.
	FindRollout(ctx context.Context, id string) (Rollout, error)

	// ListRollouts gives rollouts without rings, newest first.
	ListRollouts(ctx context.Context, f RolloutFilter) ([]Rollout, error)

	// LockRollout gives a rollout with its rings and locks it until the
	// transaction ends. ENOTFOUND.
	LockRollout(ctx context.Context, id string) (Rollout, error)

	// SaveRollout writes status, limits, epoch, notes, rollback and times of a
	// rollout, and status, reason, pardon and times of its rings; counts are left
	// alone.
	SaveRollout(ctx context.Context, r Rollout) error

	// AddRolloutDevices stores rows for devices that have none in the rollout
	// and counts them in their rings. It gives the number stored.
	AddRolloutDevices(ctx context.Context, rows []RolloutDevice) (int, error)

	// AnalyzeRollout has the planner learn about the rows after a bulk of them.
	AnalyzeRollout(ctx context.Context) error

	// TargetDevices streams the devices of account and below that meet the
	// filter (nil: all), with twin, session and metrics, by id, to each; a filter
	// that the store cannot say is EINVALID.
	TargetDevices(ctx context.Context, account string, f *Filter, each func(*Device) error) error

	// JoiningDevices streams, as TargetDevices does, the devices that could take part
	// in a rollout and do not: they are active or in maintenance, and have no row in
	// it, or one that was excused because of their state, or since they had left.
	JoiningDevices(ctx context.Context, account, rollout string, f *Filter, each func(*Device) error) error

	// LeavingDevices streams the devices that wait for their turn in a rollout and
	// were never sent anything, but are outside of account or do not meet the filter;
	// nil: all that wait.
	LeavingDevices(ctx context.Context, account, rollout string, f *Filter, each func(*Device) error) error

	// RejoinRollout makes rows pending, in the last ring, that were excused because of
	// the state of their device, or since it had left. It gives their number.
	RejoinRollout(ctx context.Context, rollout string, devices []string, now time.Time) (int, error)

	// ClaimRollout locks up to limit rows of a ring that are pending or deferred,
	// due at now and not under lease, by due time and then by device, and gives
	// them with what Admit has to know of their devices. Claims of one rollout
	// take turns; rows that others are changing, and devices on which others
	// claim an exclusive command, are skipped. It gives none unless the rollout
	// is running, or has succeeded and has late devices, and is of the epoch that
	// q names. Call it in a transaction, and in the same one HoldRollout for the
	// rows that have to wait and LeaseRollout for the others. EINVALID for a
	// budget per a field that devices can't be grouped by.
	ClaimRollout(ctx context.Context, q RolloutClaim) ([]Candidate, error)

	// HoldRollout stores why devices were left alone, and when they are due next.
	HoldRollout(ctx context.Context, held []RolloutDevice) error

	// LeaseRollout stores the commands by which rows are carried out, leased for
	// publication until now plus PublishLease, and leases the rows. A command
	// that exists, was withdrawn or deferred, or failed in the attempt before, is
	// asked again. It gives the devices whose command has ended otherwise; their
	// rows are left alone and nothing may be published.
	LeaseRollout(ctx context.Context, rows []RolloutDevice, commands []Command, now time.Time) (refused []string, err error)

	// MarkRolloutSent records publications of a rollout's commands that the broker
	// acknowledged, as MarkSent does, and moves their rows from pending to sent.
	// What is being answered at the same time is left alone.
	MarkRolloutSent(ctx context.Context, rollout string, sent []Sent, now time.Time) error

	// AdvanceRollout applies moves whose row has one of the statuses that they
	// start from, and changes the counts of rings by what was really moved. It
	// gives the moves that took place.
	AdvanceRollout(ctx context.Context, moves []RolloutMove) ([]RolloutMove, error)

	// WithdrawRollout takes back what has not been published to devices of a
	// rollout: their commands are removed and they are pending again. It gives
	// the numbers that a pause tells.
	WithdrawRollout(ctx context.Context, id string, now time.Time) (Withdrawal, error)

	// HoldRolloutClaims keeps ClaimRollout from giving anything of the rollout of a
	// pause, and keeps the pause until FreeRolloutClaims: a pause holds from the
	// next claim, whether its workflow can be told or not. ENOTFOUND when the
	// rollout has ended.
	HoldRolloutClaims(ctx context.Context, pause RolloutControl) error

	// FreeRolloutClaims ends that; freed is false when nothing was held.
	FreeRolloutClaims(ctx context.Context, rollout string) (freed bool, err error)

	// HeldRollouts gives up to limit of the pauses that are kept.
	HeldRollouts(ctx context.Context, limit int) ([]RolloutControl, error)

	// EndRolloutDevices moves all devices of a rollout (ring < 0: of all its
	// rings) that are pending or deferred to status, for the reason that cause
	// gives, and makes rows of other rollouts due that wait for these devices.
	EndRolloutDevices(ctx context.Context, id string, ring int, status RolloutDeviceStatus, cause *CommandError, now time.Time) (int, error)

	// OverdueRollout gives up to limit rows of a rollout that are open and past
	// one of the times in l.
	OverdueRollout(ctx context.Context, l OverdueLimits, limit int) ([]RolloutDevice, error)

	// WakeRollout makes rows due that wait for something to happen to their
	// devices, or to those above or behind them: a hello, the end of a command,
	// the end of another rollout.
	WakeRollout(ctx context.Context, devices []string, now time.Time) error

	// WakeConnected makes up to limit rows due that wait for the connection of a
	// device that is online, and tells how many. WakeRollout does not see a row that
	// is being held while its device comes back.
	WakeConnected(ctx context.Context, now time.Time, limit int) (int, error)

	// RecallRollout brings devices back that were excused as stragglers: in
	// rollouts that go on, and in those that have succeeded, their rows are
	// pending again, in the last ring; their Error goes on to say what they were.
	// It gives the ids of both.
	RecallRollout(ctx context.Context, devices []string, now time.Time) (going, ended []string, err error)

	// IdleRollouts gives up to limit ids of running rollouts that have devices
	// due in an open ring and in which nobody has looked for such since before.
	IdleRollouts(ctx context.Context, before time.Time, limit int) ([]string, error)

	// UncheckedRollouts gives up to limit ids of rollouts in which something more
	// happens, and whose workflow was last looked for before a time, those first that
	// were left alone longest, and counts them as looked for at now. Rollouts whose
	// start waits in the outbox are left out.
	UncheckedRollouts(ctx context.Context, before, now time.Time, limit int) ([]string, error)

	// RolloutCounts gives the rings with their counts.
	RolloutCounts(ctx context.Context, id string) ([]Ring, error)

	// RolloutErrors counts the errors of devices that failed, were rejected or
	// timed out, by ring and code, most first.
	RolloutErrors(ctx context.Context, id string) ([]ErrorCount, error)

	// RolloutWaits counts the rows of a rollout that are pending or deferred in
	// rings that were opened, by what they were last found to wait for; those that
	// nobody has looked at yet are left out.
	RolloutWaits(ctx context.Context, id string) (map[WaitKind]int, error)

	// FindRolloutDevice gives the row of a device. ENOTFOUND.
	FindRolloutDevice(ctx context.Context, rollout, device string) (RolloutDevice, error)

	// ListRolloutDevices gives rows, by device.
	ListRolloutDevices(ctx context.Context, f RolloutDeviceFilter) ([]RolloutDevice, error)

	// DeviceRollouts gives the rows of a device in rollouts that have not ended,
	// newest rollout first.
	DeviceRollouts(ctx context.Context, device string) ([]RolloutDevice, error)

	// FamilyBy gives a device's gateway, or a device behind it, that a rollout is at
	// now; "" if there is none. Exclusive commands of the device wait for that.
	FamilyBy(ctx context.Context, device string, now time.Time) (string, error)

	// HeldDevices tells which of the devices other rollouts than except hold that have
	// not ended: by device, the name of the one that was made first.
	HeldDevices(ctx context.Context, devices []string, except string) (map[string]string, error)

	// ReviewRollout gives up to limit rows of a ring that succeeded, by device,
	// with their devices if q wants Facts: of their metrics only those that were
	// measured since the row ended.
	ReviewRollout(ctx context.Context, q RolloutReview) ([]Candidate, error)

	// JudgeRollout stores the health of devices that succeeded, and counts it.
	JudgeRollout(ctx context.Context, judged []RolloutDevice) error

	// FreezeAccount and ThawAccount begin and end a freeze. ECONFLICT when there
	// is one already, ENOTFOUND when there is none.
	FreezeAccount(ctx context.Context, f Freeze) error
	ThawAccount(ctx context.Context, account string) (Freeze, error)

	// Freezes gives the freezes that bind account: its own and those above it.
	Freezes(ctx context.Context, account string) ([]Freeze, error)
}

// RolloutFilter selects rollouts. Zero fields select all.
type RolloutFilter struct {
	Account string // this account and all below it
	Name    string
	Status  RolloutStatus
	Open    bool   // only those that have not ended
	After   string // id after which to go on (newest first)
	Limit   int    // 0: 100
}

// RolloutDeviceFilter selects rows of a rollout.
type RolloutDeviceFilter struct {
	Rollout string
	Ring    *int
	Status  RolloutDeviceStatus // "": any
	Wait    WaitKind            // "": any
	After   string              // device after which to go on
	Limit   int                 // 0: 100
}

// RolloutClaim says which rows to claim.
type RolloutClaim struct {
	Rollout string
	Ring    int
	Epoch   int64
	Now     time.Time
	Limit   int
	// Seen is Rollout.PumpedAt as Limit was made of: nothing is claimed when somebody
	// else has claimed since, as what was free may be taken. Zero: no matter.
	Seen time.Time
	// Exclusive says that the change is, or may be, an exclusive command: devices
	// are locked against other such claims and LockedBy is filled in.
	Exclusive bool
	// Targets, where it is not nil, is judged for each device: Candidate.Meets.
	Targets *Filter
	// What the manifest uses, so that no more is looked up than is needed.
	Lean     bool   // of a device nothing is read but who it is, its state, and how it is connected
	Metrics  bool   // Device.Metrics are filled in
	BudgetOf string // the field of BudgetSpec.Per; GroupUnavailable and GroupSize are filled in
	Budget   bool
	Conflict bool // other rollouts are looked up
}

// Candidate is a row that may be sent, and what is known of its device.
type Candidate struct {
	Row    RolloutDevice
	Device Device // with twin and session, unless RolloutClaim.Lean
	Route  Route
	// Attempt is the one to publish: the next if the device reported the last as
	// failed, else the same again.
	Attempt int

	// Meets says whether the device still meets RolloutClaim.Targets; Unknown if
	// that was not asked, or cannot be told.
	Meets Verdict

	Freeze     *Freeze // of the device's account or one above; nil: none
	LockedBy   string  // the id of the exclusive command that holds the device; "": none
	ConflictBy string  // the name of the rollout that holds the device; "": none
	FamilyBy   string  // the id of the gateway or child that a rollout or an exclusive command is at; "": none

	Group            string // the value of the budget's field
	GroupSize        int    // targeted devices of the group
	GroupUnavailable int    // of them, without this one
}

// RolloutReview says which rows that succeeded are to be looked at.
type RolloutReview struct {
	Rollout  string
	Ring     int
	After    string // device after which to go on
	Limit    int    // 0: 100
	Unjudged bool   // only those whose health is not known
	Facts    bool   // Candidate.Device is filled in
}

// RolloutMove changes the status of a row.
type RolloutMove struct {
	Rollout string
	Device  string
	Ring    int  // filled in by AdvanceRollout, as is Drained
	Drained bool // nothing in the ring is open any more
	From    []RolloutDeviceStatus
	To      RolloutDeviceStatus
	At      time.Time

	Attempt   int // 0: unchanged
	Deferrals int // 0: unchanged
	DueAt     time.Time
	Wait      *RolloutWait
	Error     *CommandError
	Phase     string
	Percent   int
}

// Withdrawal is what a pause did.
type Withdrawal struct {
	Withdrawn int `json:"withdrawn"` // were about to be sent, or had put it off, and are not any more
	Running   int `json:"running"`   // work on it and go on
	Unknown   int `json:"unknown"`   // were sent the command and have not said a word since
}

// OverdueLimits are the times at which open rows of a rollout are overdue. Zero
// times: never. A sleeping device counts from the wake that it promised.
type OverdueLimits struct {
	Rollout   string
	Now       time.Time
	SentAt    time.Time    // sent at this time or before, and silent since
	Download  time.Time    // sent at this time or before, and not installing yet
	Install   time.Time    // answered or began installing at this time or before
	RingSince map[int]bool // rings whose stragglers are overdue: any open row of them
}

// ErrorCount counts devices of a ring that ended with the same error.
type ErrorCount struct {
	Ring    int                 `json:"ring"`
	Status  RolloutDeviceStatus `json:"status"`
	Code    string              `json:"code"`
	Message string              `json:"message"` // of one of them
	Count   int                 `json:"count"`
	Example string              `json:"example"` // the device of Message
}
