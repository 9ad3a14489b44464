package rehearsal

import (
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// stage puts the world of a case in the place of all activities.
type stage struct {
	interceptor.WorkerInterceptorBase
	world *world
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (s *stage) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &inbound{interceptor.WorkflowInboundInterceptorBase{Next: next}, s.world}
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	world *world
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (i *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&outbound{interceptor.WorkflowOutboundInterceptorBase{Next: next}, i.world})
}

// outbound answers what a workflow asks of activities.
type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	world *world
}

// ExecuteActivity implements interceptor.WorkflowOutboundInterceptor.
func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	return o.world.answer(ctx, name, args, workflow.GetActivityOptions(ctx).ScheduleToCloseTimeout)
}

// ExecuteLocalActivity implements interceptor.WorkflowOutboundInterceptor.
func (o *outbound) ExecuteLocalActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	return o.world.answer(ctx, name, args, workflow.GetLocalActivityOptions(ctx).ScheduleToCloseTimeout)
}

// answer settles a future with what the world says, at once or after its time. An
// answer that takes longer than the activity may is none.
func (w *world) answer(ctx workflow.Context, name string, args []any, limit time.Duration) workflow.Future {
	w.now = workflow.Now(ctx)
	if in, ok := first(args).(activities.WatchInput); ok {
		return w.watch(ctx, in, limit)
	}
	r := w.perform(name, first(args))
	future, settle := workflow.NewFuture(ctx)
	if limit > 0 && (r.silent || r.after >= limit) {
		r = reply{err: temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil), after: limit}
	}
	switch {
	case ctx.Err() != nil:
		settle.Set(nil, ctx.Err())
	case r.after <= 0:
		settle.Set(r.value, r.err)
	default:
		workflow.Go(ctx, func(ctx workflow.Context) {
			if err := workflow.Sleep(ctx, r.after); err != nil {
				settle.Set(nil, err)
				return
			}
			settle.Set(r.value, r.err)
		})
	}
	return future
}

func first(args []any) any {
	if len(args) == 0 {
		return nil
	}
	return args[0]
}

// perform gives the answer to one activity.
func (w *world) perform(name string, in any) reply {
	switch in := in.(type) {
	case activities.PinInput:
		return w.pin(in.Run)
	case deviceops.Run:
		w.save(&in)
		return reply{}
	case activities.CommandInput:
		return w.command(in)
	case activities.CloseInput:
		return closed(in)
	case activities.CommandTimeoutInput:
		return w.timeout(in)
	case activities.ApprovalInput:
		w.save(in.Run)
		w.saveApproval(in.Approval)
		return reply{}
	case activities.FactsInput:
		return gives(*w.device(in.Device), nil)
	case activities.ActionInput:
		return w.action(in)
	case activities.EmitInput:
		return w.emit(in)
	case activities.KeepInput:
		return gives(activities.ActionOutput{Output: in.Output}, nil) // nothing of a rehearsal is too large
	}
	w.fault(w.story.Place, "leave the step out of what is tested", "a rehearsal cannot do what the activity %s does", name)
	return gives(nil, activities.Failure(deviceops.Errorf(deviceops.EINVALID, "a rehearsal cannot do %s", name)))
}
