# Every sample of a stream, through the gateway and by every front: what a client
# puts together, in pieces of any size and with any ends of lines.  What it has
# to be is in t/fixtures/streams.json.

use lib 't/lib';
use Test::LLM;
use Encode ();

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_provider openai { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_provider anthropic { dialect anthropic; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_provider gemini { dialect gemini; base_url http://127.0.0.1:%%UP%%/v1beta; breaker off; }
    llm_retry off;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /openai/ { llm_pass openai; }
        location /anthropic/ { llm_pass anthropic; }
        location /gemini/ { llm_pass gemini; }
    }
EOC

my $rows = from_json(fixture_text('streams.json'));
my %told = map { $_->{stream} => 1 } @$rows;

# chats alone: other endpoints have no front that writes them
my @samples = grep { !/responses|transcription/ } map { s{^t/fixtures/}{}r } glob 't/fixtures/*/*.sse';
is(join(' ', grep { !$told{$_} } @samples), '', 'no sample is left out');

# ---- what a client puts together --------------------------------------------------

my $json = JSON::PP->new;

# texts of providers may be no UTF-8, and half of a character
sub decoded {
    my $text = Encode::decode('UTF-8', $_[0]);
    $text =~ s/(\\ud[89ab]..)(?!\\ud[c-f])|(?<!\\ud[89ab]..)(\\ud[c-f]..)/\\ufffd/gi;
    return eval { $json->decode($text) };
}

# the data of each event; Test::LLM::Sse looks at more, which takes its time
sub events {
    my $body = $_[0] =~ s/\A\xef\xbb\xbf//r =~ s/\r\n|\r/\n/gr;
    return map { join "\n", /^data: ?(.*)$/mg } split /\n\n/, $body;
}

my %finish = (end_turn => 'stop', stop_sequence => 'stop', max_tokens => 'length', tool_use => 'tool_calls', refusal => 'content_filter');

sub together {
    my ($r) = @_;
    my %got = (text => '', more => '', reasoning => '', finish => '', end => 'none');
    my (@calls, %usage);
    my @data = $r->status == 200 ? events($r->body) : $r->body;

    for my $data (@data) {
        my $e = decoded($data);
        my $type = ref $e eq 'HASH' ? $e->{type} // '' : '';

        $got{end} = 'done' if $data eq '[DONE]' || $type eq 'message_stop';
        next unless ref $e eq 'HASH';
        $got{end} = 'error' if $e->{error};

        for my $c (@{ $e->{choices} || [] }) {
            my $d = $c->{delta};
            $got{ $c->{index} ? 'more' : 'text' } .= $d->{content} // '';
            $got{reasoning} .= $d->{reasoning_content} // $d->{reasoning} // '';
            $got{finish} = $c->{finish_reason} if $c->{finish_reason} && !$c->{index} && !$e->{error};
            for my $call (@{ $d->{tool_calls} || [] }) {
                $calls[ $call->{index} ]{$_} .= $call->{function}{$_} // '' for qw(name arguments);
            }
        }

        if (my $u = $e->{usage} // $e->{x_groq}{usage}) {
            %usage = (input => $u->{prompt_tokens}, cached => $u->{prompt_tokens_details}{cached_tokens}, output => $u->{completion_tokens},
                reasoning => $u->{completion_tokens_details}{reasoning_tokens}) if exists $u->{prompt_tokens};
        }

        # Messages
        my $block = $e->{content_block} // {};
        my $d = $type =~ /^content_block/ ? $e->{delta} // $block : {};
        push @calls, { name => $block->{name}, arguments => '' } if ($block->{type} // '') eq 'tool_use';
        $got{text} .= $d->{text} // '';
        $got{reasoning} .= $d->{thinking} // '';
        $calls[-1]{arguments} .= $d->{partial_json} // '' if @calls;
        $got{finish} = $finish{ $e->{delta}{stop_reason} // '' } // '' if $type eq 'message_delta';
        my $u = $type eq 'message_start' ? $e->{message}{usage} : $type eq 'message_delta' ? $e->{usage} : {};
        for ([ in => 'input_tokens' ], [ made => 'cache_creation_input_tokens' ], [ cached => 'cache_read_input_tokens' ], [ output => 'output_tokens' ]) {
            $usage{ $_->[0] } = $u->{ $_->[1] } // next;
        }
    }

    $usage{input} //= $usage{in} + $usage{made} + $usage{cached} if defined $usage{in};
    $got{calls} = [ map { [ $_->{name}, from_json($_->{arguments} || '{}') ] } @calls ];
    $got{usage} = [ map { $usage{$_} // 0 } qw(input cached output reasoning) ];
    return \%got;
}

sub wanted {
    my ($row, $front) = @_;
    my %want = (more => '', reasoning => '', finish => '', usage => undef, %$row, end => $row->{end} eq 'done' ? 'done' : 'error');
    $want{text} x= delete $want{times} // 1;
    $want{calls} = [ map { [ $_->[0], from_json($_->[1]) ] } @{ $row->{calls} || [] } ];
    @want{qw(more)} = '' if $front eq 'messages';
    $want{usage} = [ @{ $want{usage} }[0 .. 2], 0 ] if $want{usage} && $front eq 'messages';
    delete @want{qw(stream dialect whole)};
    return \%want;
}

# ---- the samples --------------------------------------------------------------------

# how the bytes come: the end of a line, and the size of a piece (0: an event);
# all of them by all fronts is what the unit test does
my %ways = (
    chat     => [ [ "\n", 1 << 20 ], [ "\r", 7 ], [ "\n", 0 ] ],
    messages => [ [ "\r\n", 1 << 20 ], [ "\r\n", 1 ], [ "\n", 0 ] ],
);
my %path = (chat => 'chat/completions', messages => 'messages');
my (@cases, @requests);

for my $row (@$rows) {
    for my $front (sort keys %path) {
        for my $way (@{ $ways{$front} }) {
            my ($end, $size) = @$way;
            my $body = fixture_text($row->{stream}) =~ s/\r\n|\r|\n/$end/gr;
            my @pieces = $size ? $body : $body =~ /(.+?(?:\n\n|\z))/gs;
            my $name = 'm' . @cases;
            my $match = $row->{dialect} eq 'gemini' ? { path => "/v1beta/models/$name:streamGenerateContent*" } : { model => $name };

            $up->on($match, [ [ 'begin' ], $size && $size < 1000 && length $body < 20_000 ? [ slice => "$size 0" ] : (),
                (map { [ bytes => $_ ] } @pieces), 'end' ]);
            push @cases, { row => $row, front => $front, way => sprintf('%vd x %d', $end, $size) };
            push @requests, [ POST => "/$row->{dialect}/v1/$path{$front}", {}, to_json({ model => $name, max_tokens => 99, stream => JSON::PP::true(),
                $front eq 'chat' ? (stream_options => { include_usage => JSON::PP::true() }) : (), messages => [ { role => 'user', content => 'Hi' } ] }) ];
        }
    }
}

my @answers;
push @answers, $gw->many(60, splice @requests, 0, 64) while @requests;

while (my @three = splice @cases, 0, 3) {
    my ($row, $front) = @{ $three[0] }{qw(row front)};
    my $want = wanted($row, $front);

    subtest "$row->{stream} as $front" => sub {
        for my $case (@three) {
            my $r = shift @answers;
            my $got = together($r);
            $got->{usage} = undef unless $want->{usage};
            # what broke in front of its first content to the client is an error from the start
            my %nothing = $r->status != 200 && $want->{end} eq 'error' ? (text => '') : ();
            is_deeply($got, { %$want, %nothing }, $case->{way}) or diag explain $got;
        }
    };
}

finish();
