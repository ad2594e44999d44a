// What the shells need to complete nattrace's command line. What can come next they ask the program (Completion.swift),
// so that these scripts know neither commands nor options, and fit every version.

import Glibc

enum CompletionScripts {
    static let option = "--generate-completion-script"

    /// The script that `--generate-completion-script SHELL` asks for; nil: it is not asked for. Without a shell it is
    /// for the one that is the user's.
    static func asked(by arguments: [String]) throws(Failure) -> String? {
        guard let first = arguments.first, first == option || first.hasPrefix("\(option)=") else { return nil }
        let words = first.contains("=") ? [String(first.dropFirst(option.count + 1))] : Array(arguments.dropFirst())
        let own = getenv("SHELL").map { String(cString: $0) }?.split(separator: "/").last.map(String.init)
        guard words.count <= 1, let shell = words.first ?? own, let script = script(for: shell) else {
            throw .usage("\(option) wants the name of a shell: bash, zsh or fish")
        }
        return script
    }

    private static func script(for shell: String) -> String? {
        switch shell {
        case "bash": bash
        case "zsh": zsh
        case "fish": fish
        default: nil
        }
    }

    /// Needs bash 4.3, and no bash-completion. bash cuts words at `=`, `:` and `@` too (COMP_WORDBREAKS), and replaces
    /// what is behind the last of these alone.
    static let bash = #"""
        # bash completion for nattrace
        _nattrace() {
            local rest=${COMP_LINE:0:COMP_POINT} words=() word blank i
            for ((i = 0; i <= COMP_CWORD; i++)); do
                blank=${rest%%[![:blank:]]*}
                rest=${rest#"$blank"}
                word=${COMP_WORDS[i]}
                ((i < COMP_CWORD)) || word=$rest
                rest=${rest#"$word"}
                if ((i > 0)) && [[ -z $blank ]]; then
                    words[-1]+=$word
                else
                    words+=("$word")
                fi
            done
            local program=${words[0]/#'~/'/"$HOME/"} last=${words[-1]#[\"\']} replaced=$2 kind= line file
            [[ $replaced == [=:@] ]] && replaced=
            words[-1]=$last
            COMPREPLY=()
            while IFS= read -r line; do
                if [[ -z $kind ]]; then
                    kind=$line
                elif line=${line%%$'\t'*} && [[ $line == "$last"* ]]; then
                    COMPREPLY+=("${line#"${last%"$replaced"}"}")
                fi
            done < <("$program" ---complete "${words[@]:1}" 2>/dev/null)
            if [[ $kind == files ]]; then
                [[ $last == --*=* ]] && last=${last#*=}
                while IFS= read -r file; do
                    COMPREPLY+=("${file#"${last%"$replaced"}"}")
                done < <(compgen -f -- "$last")
                compopt -o filenames
            fi
        }
        complete -F _nattrace nattrace

        """#

    /// To be put as `_nattrace` into a folder of `fpath`, or to be sourced after compinit.
    static let zsh = #"""
        #compdef nattrace
        # zsh completion for nattrace
        _nattrace() {
            local program=${(Q)words[1]} last=${(Q)PREFIX} option= line text
            local -a before lines described
            before=("${(@Q)words[2,CURRENT-1]}")
            (( CURRENT > 2 )) || before=()
            lines=("${(@f)$("${program/#\~\//$HOME/}" ---complete "${before[@]}" "$last" 2>/dev/null)}")
            if [[ $last == --*=* ]]; then
                option="${last%%=*}="
                compset -p ${#option}
            fi
            if [[ $lines[1] == files ]]; then
                _files
                return
            fi
            for line in "${(@)lines[2,-1]}"; do
                text=${${line%%$'\t'*}#"$option"}
                if [[ $line == *$'\t'* ]]; then
                    described+=("${text//:/\\:}:${line#*$'\t'}")
                else
                    described+=("${text//:/\\:}")
                fi
            done
            (( $#described )) || return 1
            if [[ -z $option && $last == -* ]]; then
                _describe -o option described
            else
                _describe value described
            fi
        }
        if [[ $funcstack[1] == _nattrace ]]; then
            _nattrace "$@"
        else
            compdef _nattrace nattrace
        fi

        """#

    static let fish = #"""
        # fish completion for nattrace
        function __nattrace_complete
            set -l before (commandline -opc)
            set -l program (string replace -r '^~/' "$HOME/" -- $before[1])
            set -e before[1]
            set -l last (commandline -ct)
            set -l lines (command $program ---complete $before "$last" 2>/dev/null)
            if test "$lines[1]" = files
                set -l option (string match -r '^--[^=]*=' -- $last)
                set -l path (string replace -r '^--[^=]*=' '' -- $last)
                for found in (__fish_complete_path $path)
                    printf '%s%s\n' "$option" $found
                end
            else if set -q lines[2]
                printf '%s\n' $lines[2..]
            end
        end
        complete -c nattrace -f -a '(__nattrace_complete)'

        """#
}
