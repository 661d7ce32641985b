
# What the journal has to ask for. The shell looks at nothing of it: whoever writes a message may have chosen it.
_journal_ship_asked() {
    local at places=() line name
    for ((at = 1; at < COMP_CWORD; at++)); do
        name="${COMP_WORDS[at]}"
        if [[ $name == --path || $name == --config ]]; then
            # `--path=DIR` is three words for completions.
            [[ ${COMP_WORDS[at + 1]} == = ]] && ((at++))
            places+=("$name" "${COMP_WORDS[at + 1]}")
        fi
    done
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        printf -v line %q "$line"
        [[ $line == "${COMP_WORDS[COMP_CWORD]}"* ]] && COMPREPLY+=("$line")
    done < <("${COMP_WORDS[0]}" "$@" "${places[@]}" 2>/dev/null)
}

_journal_ship_completed() {
    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}"
    case "$before" in
        -u | --unit)
            _journal_ship_asked labels unit
            return
            ;;
        labels)
            [[ $word == -* ]] || { _journal_ship_asked labels; return; }
            ;;
        query | series)
            [[ $word == -* ]] || { _journal_ship_asked series '{}'; return; }
            ;;
    esac
    _journal__ship "$@"
}

complete -F _journal_ship_completed -o bashdefault -o default journal-ship
