#!/bin/sh
# What is run on every kernel: steps.sh SETTINGS all|STEP,... The settings say where things are.
. "$1"
wanted=$2
failed=""
# What cannot be tried there has to be noticed.
export GROVE_TEST_NO_SKIPS=1

step() {
    name=$1
    shift
    case ",$wanted," in
    *,all,* | *",$name,"*) ;;
    *) return ;;
    esac
    echo "== $name, on $(uname -r)"
    if timeout 1200 "$@"; then
        echo "passed: $name"
    else
        echo "FAILED: $name ($?), on $(uname -r)"
        failed="$failed $name"
    fi
}

# Every line but those of container runtimes is to say ok.
doctor() {
    "$grove" doctor >/tmp/doctor.$$
    grep -v 'runtime' /tmp/doctor.$$
    wrong=$(grep -v -e '^ok' -e 'runtime' /tmp/doctor.$$)
    rm -f /tmp/doctor.$$
    [ -z "$wrong" ]
}

if [ "${3:-}" = doctor ]; then
    doctor
    exit
fi
# Half of the instructions that a verifier goes through, and three quarters of the stack.
step verifier "$work/verifier" "$work/grove.bpf.o" 400 500000
step doctor sh "$0" "$1" "$2" doctor
# A container of runc, and a command: each is learned as strace saw it. What is lost is counted. What differs from kernel to
# kernel beside that: numbers of processes in namespaces, and whose capabilities are checked.
for test in inside:: command::what loss::with own_pid:: capabilities:: denied::; do
    step "${test%%:*}" "$live" --nocapture --test-threads 1 "$test"
done
# Everything else that is tested of the kernel side, which takes an emulated processor a quarter of an hour.
case ",$wanted," in
*,kernel,*) step kernel "$kernel_tests" --nocapture --test-threads 1 --skip the_committed_object ;;
esac
[ -z "$failed" ] && echo "all steps passed"
