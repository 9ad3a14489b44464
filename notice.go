package deviceops

import (
	"context"
	"time"
)

// NoticeStatus is how far a notification is.
type NoticeStatus string

// Statuses of a notification.
const (
	NoticePending NoticeStatus = "pending"
	NoticeSent    NoticeStatus = "sent"
	NoticeFolded  NoticeStatus = "folded" // another one tells of it: "and N more"
	NoticeDead    NoticeStatus = "dead"   // given up; it can be sent again
)

// Notice is a notification on its way to a channel.
type Notice struct {
	ID       string       `json:"id"` // names the effect: what is queued twice is sent once
	Account  string       `json:"account"`
	Channel  string       `json:"channel"`
	Key      string       `json:"key"` // what is told of, for the limit of the channel
	Title    string       `json:"title,omitempty"`
	Text     string       `json:"text"`
	Severity string       `json:"severity"`
	Device   string       `json:"device,omitempty"`
	Run      ChannelRun   `json:"run,omitzero"`
	Status   NoticeStatus `json:"status"`

	More     int       `json:"more,omitempty"` // others that it tells of
	Attempts int       `json:"attempts"`
	Error    string    `json:"error,omitempty"` // of the last attempt
	QueuedAt time.Time `json:"queued_at"`
	DueAt    time.Time `json:"due_at,omitzero"` // of the next attempt
	SentAt   time.Time `json:"sent_at,omitzero"`
}

// DefaultNoticeLimit is how many notifications with one key a channel sends that
// says nothing else.
var DefaultNoticeLimit = Limit{N: 20, Per: time.Minute}

// How long a notification is tried.
const (
	NoticeAttempts = 12
	minNoticeDelay = 5 * time.Second
	maxNoticeDelay = 30 * time.Minute

	// NoticeLease is how long a claimed notification is left to whoever claimed it.
	NoticeLease = 2 * time.Minute
)

// EventNoticeDead is the type of the event that tells of a notification that was
// given up.
const EventNoticeDead = "notification.undelivered"

// Attempted notes the outcome of an attempt: sent, to be tried again, later and
// later, or given up, since trying again cannot help or was tried often enough.
func (n *Notice) Attempted(err error, now time.Time) {
	n.Attempts++
	if err == nil {
		n.Status, n.SentAt, n.DueAt, n.Error = NoticeSent, now, time.Time{}, ""
		return
	}
	n.Error = ErrorMessage(err)
	switch code := ErrorCode(err); {
	case code != EUNAVAILABLE && code != EINTERNAL, n.Attempts >= NoticeAttempts:
		n.Status, n.DueAt = NoticeDead, time.Time{}
	default:
		delay := min(minNoticeDelay<<(n.Attempts-1), maxNoticeDelay)
		n.DueAt = now.Add(max(delay, RetryDelay(err)))
	}
}

// NoticeFilter selects notifications. Zero fields select all.
type NoticeFilter struct {
	Account string // this account and all below it
	Channel string
	Status  NoticeStatus
	After   string // id after which to go on (newest first)
	Limit   int    // 0: 100
}

// Notices keeps notifications until they are sent, and those that were given up.
type Notices interface {
	// QueueNotice stores a notification to be sent. Of those of one account,
	// channel and key at most limit.N are sent within limit.Per: the next one is
	// held until there is room, and all that come until then are folded into it.
	// One whose id is known is left as it is.
	QueueNotice(ctx context.Context, n Notice, limit Limit) error

	// ClaimNotices leases notifications that are due until now plus NoticeLease,
	// at most perChannel of each channel. Channels in busy, given as
	// "account/channel", are left out.
	ClaimNotices(ctx context.Context, now time.Time, perChannel int, busy []string) ([]Notice, error)

	// SaveNotice writes what became of an attempt and ends the lease.
	SaveNotice(ctx context.Context, n Notice) error

	// ListNotices gives notifications, newest first.
	ListNotices(ctx context.Context, f NoticeFilter) ([]Notice, error)

	// RedriveNotices makes notifications due again that were given up: those with
	// the given ids, or all of the account and those below it that go to the
	// channel. It gives their number.
	RedriveNotices(ctx context.Context, account, channel string, ids []string, now time.Time) (int, error)

	// PruneNotices forgets what was sent or folded before a time.
	PruneNotices(ctx context.Context, before time.Time) error
}
