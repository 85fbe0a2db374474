# 20 000 requests through a split with sticky users, a mirror, an experiment and
# objects: the worker's memory, its descriptors and the pages of the zone stay
# what they are.

use lib 't/lib';
use Test::LLM;

use IO::Socket::INET;

my $gw = Test::LLM::Gateway->new(level => 'crit', conf => <<'EOC')->start;
    llm_zone t:4m;
    access_log off;
    keepalive_requests 100000;
    llm_provider blue  { dialect openai; base_url http://127.0.0.1:%%PORT_up%%/v1; keepalive 8; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%PORT_up%%/v1; keepalive 8; }
    llm_split s {
        sticky $http_x_user;
        variant blue blue 60%;
        variant green green 40%;
        mirror green 30%;
        experiment e;
    }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_pass s; }
        location /admin/ { llm_admin; }
    }
    server {
        listen 127.0.0.1:%%PORT_up%%;
        default_type application/json;
        location /v1/responses {
            return 200 '{"id":"resp-$request_id","object":"response","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}';
        }
        location /v1/chat {
            return 200 '{"id":"$request_id","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"yes"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}';
        }
    }
EOC

my ($worker) = $gw->workers;
my ($sent, $answered, $users) = (0, 0, 0);
my @made;
my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gw->port) or die "connect: $!";

sub request {
    my ($method, $path, $body) = @_;
    $users++;
    return "$method $path HTTP/1.1\r\nHost: t\r\nX-User: u$users\r\nContent-Type: application/json\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
}

# thirty at a time on one connection
sub round {
    for (1 .. $_[0] / 30) {
        my $out = '';
        for (1 .. 10) {
            $out .= request(POST => '/v1/chat/completions', chat_body('m'));
            $out .= request(POST => '/v1/responses', to_json({ model => 'm', input => 'x' }));
            my $id = $made[ rand @made ] // 'resp-unknown';
            $out .= request(GET => "/v1/responses/$id", '');
        }
        print $sock $out;
        $sent += 30;
        my $in = '';
        my $n = 0;
        while ($n < 30 && sysread $sock, $in, 65536, length $in) {
            while ($in =~ s/\A(HTTP\/1\.1 (\d+).*?\r\n\r\n)//s) {
                my ($head, $status) = ($1, $2);
                my ($length) = $head =~ /^content-length: (\d+)/mi;
                if (length $in < $length) {
                    $in = $head . $in;
                    last;
                }
                my $body = substr $in, 0, $length, '';
                $n++;
                $answered++ if $status == 200;
                push @made, $1 if $body =~ /"(resp-[0-9a-f]{32})"/;
            }
        }
        splice @made, 0, @made - 100 if @made > 100;
    }
    # copies are made after the answer: all of them have ended
    my $was = -1;
    wait_for(sub {
        my $now = $gw->get('/admin/splits/s')->json->{mirror}{copies};
        my $same = $now == $was;
        $was = $now;
        select undef, undef, undef, 0.2 if !$same;
        return $same;
    });
    return $was;
}

sub rss { open my $f, '<', "/proc/$worker/status" or die $!; my ($kb) = map { /^RssAnon:\s+(\d+)/ } <$f>; return $kb }

# pfree of nginx's ngx_slab_pool_t, 80 bytes into the zone of 4 MB
sub free_pages {
    no warnings 'portable';     # addresses of 64 bits
    open my $maps, '<', "/proc/$worker/maps" or return;
    my ($start) = map { /^([0-9a-f]+)-([0-9a-f]+) rw-s/ && hex($2) - hex($1) == 4 << 20 ? hex $1 : () } <$maps>;
    open my $mem, '<:raw', "/proc/$worker/mem" or return;
    return unless defined $start && sysseek($mem, $start + 80, 0) && sysread($mem, my $pages, 8) == 8;
    return unpack 'Q', $pages;
}

# 4000 objects: the zone keeps 3855 and forgets the oldest ones from then on
round(12_000);
my ($rss, $fds, $pages) = (rss(), $gw->fd_count($worker), free_pages());
my $copies = round(12_000);
round(12_000) unless $ENV{LLM_VALGRIND};

is($answered, $sent, "$sent requests answered");
cmp_ok($copies, '>', 500, "... $copies of them mirrored");

SKIP: {
    skip 'a checked nginx keeps freed memory', 1 if ($ENV{LLM_NGINX} // '') =~ /asan|valgrind/ || $ENV{LLM_VALGRIND};
    my $grown = rss() - $rss;
    cmp_ok($grown, '<', 600, "memory after 24 000 more: $grown kB");
}

SKIP: {
    skip 'the memory of a worker is not to be read here', 1 unless $pages;
    is(free_pages(), $pages, "free pages of the zone: $pages");
}

ok(wait_for(sub { $gw->fd_count($worker) <= $fds + 3 }), 'descriptors') or diag $gw->fd_count($worker), " then $fds";
is(($gw->workers)[0], $worker, 'the same worker');

finish();
