// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {FileShop} from "../src/FileShop.sol";
import {IFiles} from "cess/IFiles.sol";

/// The part of forge's cheat codes used here.
interface Vm {
    function envBytes32(string calldata name) external view returns (bytes32);
    function rpc(string calldata method, string calldata params) external returns (bytes memory);
    function toString(address value) external pure returns (string memory);
    function toString(bytes calldata value) external pure returns (string memory);
    function mockCall(address callee, bytes calldata data, bytes calldata answer) external;
    function mockCallRevert(address callee, bytes calldata data, bytes calldata answer) external;
    function clearMockedCalls() external;
    function prank(address caller) external;
    function deal(address account, uint256 balance) external;
    function expectRevert(bytes calldata data) external;
}

/// Runs in forge's own EVM on a fork of a running chain that holds the file CESS_FILE:
///   CESS_FILE=0x… forge test --fork-url http://127.0.0.1:8545
/// That EVM has the chain's state but not its protocol modules. So each answer a module would give is fetched from the chain
/// first, by the same eth_call, and replayed: what the tests see is the real record of a real file.
contract FileShopTest {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address constant BUYER = address(0xb0b);

    FileShop shop;
    bytes32 file;
    IFiles.File record;

    function setUp() public {
        file = vm.envBytes32("CESS_FILE");
        shop = new FileShop();
        record = abi.decode(replay(address(shop.FILES()), abi.encodeCall(IFiles.get, (file))), (IFiles.File));
        for (uint256 i = 0; i < record.holders.length; i++) {
            replay(address(shop.MINERS()), abi.encodeWithSignature("get(address)", record.holders[i]));
        }
        replay(address(shop.STAKING()), abi.encodeWithSignature("currentEra()"));
        vm.deal(BUYER, 10 ether);
    }

    function testTheRecordIsRead() public view {
        require(record.id == file && record.owners.length > 0, "a stored file has an owner");
        (bool isKept, uint256 holders) = shop.kept(file);
        require(isKept && holders == 12, "twelve holders");
    }

    function testOnlyAnOwnerSells() public {
        vm.expectRevert(abi.encodeWithSelector(FileShop.NotOwner.selector, file, address(this)));
        shop.offer(file, 1 ether);
        offerIt();
        (address seller, uint256 price) = shop.offers(file);
        require(seller == record.owners[0] && price == 1 ether, "offered");
    }

    function testTheSellerIsPaidWhenTheEraIsOver() public {
        uint64 era = buyIt();
        vm.expectRevert(abi.encodeWithSelector(FileShop.EraNotOver.selector, era, era));
        shop.settle(file, BUYER);
        nextEra(era);
        uint256 before = record.owners[0].balance;
        shop.settle(file, BUYER);
        require(record.owners[0].balance == before + 1 ether && shop.hasPaid(file, BUYER), "settled");
        vm.expectRevert(abi.encodeWithSelector(FileShop.NothingWaits.selector, file, BUYER));
        shop.settle(file, BUYER);
    }

    function testTheBuyerGetsItBackWhenTheFileIsGone() public {
        nextEra(buyIt());
        vm.expectRevert(abi.encodeWithSelector(FileShop.FileKept.selector, file, 12));
        shop.refund(file, payable(BUYER));
        bytes memory unknown = abi.encodeWithSelector(IFiles.UnknownFile.selector, file);
        vm.mockCallRevert(address(shop.FILES()), abi.encodeCall(IFiles.get, (file)), unknown);
        shop.refund(file, payable(BUYER));
        require(BUYER.balance == 10 ether && !shop.hasPaid(file, BUYER), "refunded");
    }

    function offerIt() private {
        vm.prank(record.owners[0]);
        shop.offer(file, 1 ether);
    }

    function buyIt() private returns (uint64 era) {
        offerIt();
        vm.prank(BUYER);
        shop.buy{value: 1 ether}(file);
        (,, era) = shop.purchases(file, BUYER);
    }

    function nextEra(uint64 era) private {
        vm.mockCall(address(shop.STAKING()), abi.encodeWithSignature("currentEra()"), abi.encode(era + 1));
    }

    /// What the chain answers to a call of a module, answered from now on here too.
    function replay(address module, bytes memory data) private returns (bytes memory answer) {
        string memory call = string.concat('{"to":"', vm.toString(module), '","data":"', vm.toString(data), '"}');
        answer = vm.rpc("eth_call", string.concat("[", call, ',"latest"]'));
        vm.mockCall(module, data, answer);
    }
}
