#!/bin/sh
# kolet: the harness's hand in the guest. Runs a test's unit, passes on the test's wish to reboot, and does in clones what
# the harness would otherwise log in for.
# Every process costs an emulated guest tens of milliseconds, so the shell does what it can by itself.
set -u
LC_ALL=C
export LC_ALL

# Unit tests set a directory to stand for `/`.
root=${KOLET_ROOT:-}
bin=$root/usr/local/bin
tmp=$root/tmp
run=$root/run

# Exit statuses: the unit failed; the unit exited with 77, which means "skipped".
unit_failed=10
unit_skipped=77

die() {
    echo "kolet: $*" >&2
    exit 1
}

usage() {
    cat >&2 <<END
usage: kolet run-test-unit [--deny-reboots] [--env-from-stdin] UNIT
       kolet reboot-request MARK
       kolet soft-reboot-request MARK
       kolet httpd [--port 80] [--path ./]
       kolet serve [-]
       kolet version
END
    exit 2
}

# What a test calls: the autopkgtest way to reboot in the middle of a test.
write_reboot_scripts() {
    [ ! -x "$tmp/autopkgtest-soft-reboot-prepare" ] || return 0
    write_reboot_scripts_anew || die "cannot write the reboot scripts to $tmp"
}

write_reboot_scripts_anew() {
    umask 022
    printf '#!/bin/sh\nset -e\n%s/kolet reboot-request "$@"\nexec reboot\n' "$bin" >"$tmp/autopkgtest-reboot"
    printf '#!/bin/sh\nexec %s/kolet reboot-request "$@"\n' "$bin" >"$tmp/autopkgtest-reboot-prepare"
    printf '#!/bin/sh\nset -e\n%s/kolet soft-reboot-request "$@"\nexec systemctl soft-reboot\n' "$bin" >"$tmp/autopkgtest-soft-reboot"
    printf '#!/bin/sh\nexec %s/kolet soft-reboot-request "$@"\n' "$bin" >"$tmp/autopkgtest-soft-reboot-prepare"
    chmod 0755 "$tmp/autopkgtest-reboot" "$tmp/autopkgtest-reboot-prepare" \
        "$tmp/autopkgtest-soft-reboot" "$tmp/autopkgtest-soft-reboot-prepare"
}

# What the test's wish to reboot comes through.
make_fifo() {
    [ -p "$run/kolet-reboot" ] || mkfifo -m 0600 "$run/kolet-reboot" || die "cannot make $run/kolet-reboot"
}

# read_state UNIT: sets main_pid, code, status (of the main process), active, sub and result (of the unit).
read_state() {
    main_pid=0 code=0 status=0 active='' sub='' result=''
    while IFS='=' read -r key value; do
        case $key in
            MainPID) main_pid=$value ;;
            ExecMainCode) code=$value ;;
            ExecMainStatus) status=$value ;;
            ActiveState) active=$value ;;
            SubState) sub=$value ;;
            Result) result=$value ;;
        esac
    done <<END
$(systemctl show --property=MainPID,ExecMainCode,ExecMainStatus,ActiveState,SubState,Result "$1")
END
}

# wait_for_pid PID: only the main process counts; what it left behind does not keep the test running.
wait_for_pid() {
    tail --pid="$1" -s 0.1 -f /dev/null 2>/dev/null && return
    while [ -d "/proc/$1" ]; do
        sleep 0.2 2>/dev/null || sleep 1
    done
}

# log_end UNIT: everything that the unit has written is in the journal before the mark that the harness waits for.
# A kolet that serves is connected with the journal, by descriptor 8.
log_end() {
    journalctl --sync >/dev/null 2>&1 || :
    if [ -n "${serving-}" ] && printf '%s ended\n' "$1" >&8; then return; fi
    logger -t kolet -- "$1 ended" 2>/dev/null || systemd-cat -t kolet echo "$1 ended" || :
}

# start UNIT: systemd finds a unit by itself that it has never looked for.
start() {
    started=0
    systemctl start --job-mode=fail "$1" || started=$?
    [ "$started" = 5 ] || return "$started"
    systemctl daemon-reload && systemctl start --job-mode=fail "$1"
}

run_test_unit() {
    deny='' env=''
    while :; do
        case ${1-} in
            --deny-reboots) deny=1 ;;
            --env-from-stdin) env=1 ;;
            *) break ;;
        esac
        shift
    done
    [ $# -eq 1 ] || usage
    unit=$1

    if [ -n "$env" ]; then
        cat >"$run/kola-runext-env" || die "cannot write the unit's environment file"
    fi
    write_reboot_scripts
    # Executables of the same name take turns on a shared machine.
    for staged in "$bin/$unit".*; do
        [ ! -e "$staged" ] || mv -f "$staged" "$bin/kola-runext-${staged#"$bin/$unit".}"
    done
    [ ! -e "$run/kolet-reboot-ack" ] || rm -f "$run/kolet-reboot-ack"
    if [ -z "$deny" ]; then
        make_fifo
        exec 3<>"$run/kolet-reboot"
    elif [ -e "$run/kolet-reboot" ]; then
        rm -f "$run/kolet-reboot"
    fi

    start "$unit" || die "cannot start $unit"
    read_state "$unit"
    if [ "$main_pid" != 0 ]; then
        if [ ! -d "/proc/$main_pid" ]; then
            : # systemd has yet to hear of it
        elif [ -n "$deny" ]; then
            wait_for_pid "$main_pid"
        else
            (
                wait_for_pid "$main_pid"
                echo ended >&3
            ) </dev/null >/dev/null 2>&1 &
            waiter=$!
            IFS= read -r event <&3
            if [ "$event" != ended ]; then
                kill "$waiter" 2>/dev/null
                log_end "$unit"
                printf '%s\n' "$event"
                return 0
            fi
        fi
        read_state "$unit"
    fi
    log_end "$unit"

    case $code:$status:$result in
        1:0:success) return 0 ;;
        1:0:*) reason="Unhandled systemd unit state: $active/$sub" ;;
        1:77:*) return "$unit_skipped" ;;
        1:203:*) reason="exited with code 203: systemd cannot execute it" ;;
        1:*) reason="exited with code $status" ;;
        2:*) reason="killed by signal $status" ;;
        3:*) reason="killed by signal $status (core dumped)" ;;
        *) reason="Unhandled systemd unit state: $active/$sub" ;;
    esac
    case $result in
        success | exit-code | signal | core-dump | '') ;;
        *) reason="$reason (result: $result)" ;;
    esac
    echo "$reason" >&2
    return "$unit_failed"
}

# json_escape TEXT: sets escaped.
json_escape() {
    rest=$1 escaped=''
    while [ -n "$rest" ]; do
        char=${rest%"${rest#?}"}
        rest=${rest#?}
        case $char in
            '"' | \\) escaped=$escaped\\$char ;;
            [[:cntrl:]]) escaped=$escaped$(printf '\\u%04x' "'$char") ;;
            *) escaped=$escaped$char ;;
        esac
    done
}

# reboot_request KIND MARK: returns when the harness has let go of the machine.
reboot_request() {
    [ -n "$2" ] || die "the mark is empty"
    [ -p "$run/kolet-reboot" ] || die "Reboots are not supported for this test"
    json_escape "$2"
    if [ "$1" = soft ]; then
        [ -n "$(systemctl show --property=SoftRebootsCount --value)" ] ||
            die "a soft reboot needs systemd 254 or newer"
        event="{\"Reboot\":\"\",\"SoftReboot\":\"$escaped\"}"
    else
        event="{\"Reboot\":\"$escaped\",\"SoftReboot\":\"\"}"
    fi
    # Ignition would run again if the first boot were cut off before it is marked as done.
    read -r cmdline <"$root/proc/cmdline"
    case " $cmdline " in
        *' ignition.firstboot'[\ =]*)
            timeout 60 systemctl is-system-running --wait >/dev/null 2>&1 || :
            ;;
    esac
    rm -f "$run/kolet-reboot-ack"
    mkfifo -m 0600 "$run/kolet-reboot-ack" || die "cannot make $run/kolet-reboot-ack"
    printf '%s\n' "$event" >"$run/kolet-reboot"
    read -r _ <"$run/kolet-reboot-ack" || :
}

# Serves files to this machine only, as long as it runs.
httpd() {
    port=80 path=.
    while [ $# -gt 0 ]; do
        case $1 in
            --port=*) port=${1#*=} ;;
            --path=*) path=${1#*=} ;;
            --port | --path)
                [ $# -gt 1 ] || usage
                if [ "$1" = --port ]; then port=$2; else path=$2; fi
                shift
                ;;
            *) usage ;;
        esac
        shift
    done
    path=$(cd "$path" && pwd) || die "cannot serve $path"
    exec systemd-socket-activate --listen="127.0.0.1:$port" --accept --inetd "$0" httpd-answer "$path"
}

# respond STATUS TYPE LENGTH
respond() {
    printf 'HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %s\r\nConnection: close\r\n\r\n' "$1" "$2" "$3"
}

refuse() {
    respond "$1" text/plain $((${#1} + 1))
    [ "$method" = HEAD ] || echo "$1"
    exit 0
}

# url_decode TEXT: sets decoded.
url_decode() {
    rest=$1 decoded=''
    while :; do
        case $rest in
            *%[0-9a-fA-F][0-9a-fA-F]*)
                head=${rest%%\%[0-9a-fA-F][0-9a-fA-F]*}
                rest=${rest#"$head"%}
                hex=${rest%"${rest#??}"}
                rest=${rest#??}
                # The dot keeps a newline at the end.
                char=$(printf '%b.' "\\0$(printf '%o' "0x$hex")")
                decoded=$decoded$head${char%.}
                ;;
            *)
                decoded=$decoded$rest
                return
                ;;
        esac
    done
}

# httpd_answer DIRECTORY: one request on standard input.
httpd_answer() {
    method=GET
    cr=$(printf '\r')
    IFS=' ' read -r method target _ || exit 0
    while IFS= read -r header; do
        [ -n "${header%"$cr"}" ] || break
    done
    case $method in GET | HEAD) ;; *) refuse '501 Not Implemented' ;; esac
    target=${target%"$cr"}
    url_decode "${target%%[?#]*}"
    case /$decoded/ in */../*) refuse '403 Forbidden' ;; esac
    file=$1/${decoded#/}
    if [ -d "$file" ] && [ -f "$file/index.html" ]; then
        file=$file/index.html
    elif [ -d "$file" ]; then
        list=$(
            echo '<pre>'
            for entry in "$file"/*; do
                [ ! -e "$entry" ] || printf '<a href="%s">%s</a>\n' "${entry##*/}" "${entry##*/}"
            done
            echo '</pre>'
        )
        respond '200 OK' text/html $((${#list} + 1))
        [ "$method" = HEAD ] || printf '%s\n' "$list"
        exit 0
    fi
    if [ ! -f "$file" ] || [ ! -r "$file" ]; then refuse '404 Not Found'; fi
    case $file in
        *.html) type=text/html ;;
        *.json | *.ign) type=application/json ;;
        *.txt) type=text/plain ;;
        *) type=application/octet-stream ;;
    esac
    respond '200 OK' "$type" "$(($(wc -c <"$file")))"
    [ "$method" = HEAD ] || cat "$file"
}

# serve [-]: does what the host says on the agent's port (or on standard input), until the host closes it. One line says
# how the answer is marked, and how many lines of script and bytes of input follow. The script writes its output to the port.
# Then come the mark with the exit status, what went to standard error, and the mark.
serve() {
    write_reboot_scripts
    make_fifo
    exec 8>&2
    [ "${1-}" = - ] || exec 0<>"$root/dev/virtio-ports/kolea.agent"
    exec 1>&0
    # shellcheck disable=SC2034 # scripts use it: a function needs no process
    KOLET=kolet
    serving=1 newline='
'
    echo 'kolet @VERSION@'
    while IFS=' ' read -r verb mark lines bytes; do
        [ "$verb" = run ] || die "the host says \`$verb\`"
        script=''
        while [ "$lines" -gt 0 ]; do
            IFS= read -r line || die 'the host broke off'
            script=$script$line$newline
            lines=$((lines - 1))
        done
        if [ "$bytes" = 0 ]; then
            (eval "$script") </dev/null 2>"$run/kolet-stderr"
            answer "$mark" $?
        else
            head -c "$bytes" | serve_input
        fi
    done
}

# serve_input: runs $script, and reads what it leaves of the input, which nobody should take for the host's next word.
serve_input() {
    (eval "$script") 2>"$run/kolet-stderr"
    status=$?
    cat >/dev/null
    answer "$mark" "$status"
}

# answer MARK STATUS
answer() {
    if [ -s "$run/kolet-stderr" ]; then
        printf '\n%s %s\n' "$1" "$2"
        cat "$run/kolet-stderr"
        printf '\n%s\n' "$1"
    else
        printf '\n%s %s\n\n%s\n' "$1" "$2" "$1"
    fi
}

kolet() {
    command=${1-}
    [ $# -eq 0 ] || shift
    case $command in
        run-test-unit) run_test_unit "$@" ;;
        reboot-request)
            [ $# -eq 1 ] || usage
            reboot_request hard "$1"
            ;;
        soft-reboot-request)
            [ $# -eq 1 ] || usage
            reboot_request soft "$1"
            ;;
        httpd) httpd "$@" ;;
        httpd-answer) httpd_answer "$@" ;;
        serve) serve "$@" ;;
        version) echo 'kolet @VERSION@' ;;
        *) usage ;;
    esac
}

kolet "$@"
